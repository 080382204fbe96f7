"""Questions over documents: reading, cutting, ranking, citing, and saying so when nothing fits."""

import pytest

from .steps import answers, ask, until

pytestmark = pytest.mark.slow

DAYS = """# 미나의 하루

아침에 미나는 공원에 갔어요. 미나는 빨간색 공을 찾았어요.

# 준호의 하루

저녁에 준호는 숲에 갔어요. 준호는 할머니를 만났어요.
"""


def add(page, name, data, kind="text/plain"):
    """Chooses a file as the user would."""
    before = page.locator("#documents").inner_text()
    page.set_input_files("#files", {"name": name, "mimeType": kind, "buffer": data})
    until(
        page,
        f"document.querySelector('#documents').textContent !== {before!r} || document.querySelector('dialog[open]')",
    )


def passages_of(page, pages, size):
    """What the page's cutter makes of a document."""
    return page.evaluate(
        "async ([pages, size]) => (await import('./js/passages.js')).cutPassages(pages, size)", [pages, size]
    )


def test_a_korean_text_is_asked_and_cited(open_page, standin):
    standin.reply = lambda body: ["빨간색 공을 ", "찾았어요 [1", "]."]
    page = open_page()
    page.select_option("#mode", "documents")
    add(page, "하루.txt", DAYS.encode())
    ask(page, "미나는 무엇을 찾았어요?")
    sent = standin.questions()[0]
    assert sent.startswith("[1] 미나의 하루\n아침에 미나는")
    assert sent.endswith("질문: 미나는 무엇을 찾았어요?")
    assert answers(page) == ["빨간색 공을 찾았어요 [1]."]
    page.click(".prose .cite")
    assert page.locator("dialog h2").inner_text() == "하루.txt"
    assert "미나는 빨간색 공을 찾았어요." in page.locator("dialog mark").inner_text()
    assert "미나의 하루 · 문단 1" in page.locator("dialog .hint").inner_text()
    assert "준호는 할머니를" in page.locator("dialog .passage").inner_text()
    page.keyboard.press("Escape")
    assert page.locator(".source-strong").count() >= 1
    page.reload()
    page.wait_for_selector(".cite")
    page.click(".cite")
    assert "미나는 빨간색" in page.locator("dialog mark").inner_text()


def test_an_answer_without_support_says_so(open_page, standin):
    standin.reply = lambda body: ["우주선이 화성에 내렸다."]
    page = open_page()
    page.select_option("#mode", "documents")
    add(page, "하루.txt", DAYS.encode())
    ask(page, "미나는 무엇을 찾았어요?")
    assert "거의 없습니다" in page.locator(".sources").inner_text()
    ask(page, "xylophone?")
    assert "찾지 못했습니다" in page.locator(".note").last.inner_text()
    assert len(standin.asked) == 1, "the model is not asked about nothing"


def test_files_that_cannot_be_read_are_named_and_the_others_kept(open_page, standin):
    page = open_page()
    page.select_option("#mode", "documents")
    files = [("a.exe", b"MZ"), ("빈.txt", b"  \n"), ("좋음.txt", "도토리는 가을에 익어요.".encode("euc-kr"))]
    page.set_input_files("#files", [{"name": name, "mimeType": "text/plain", "buffer": data} for name, data in files])
    page.wait_for_selector("dialog[open]")
    text = page.locator("dialog").inner_text()
    assert "a.exe" in text
    assert "빈.txt" in text
    page.keyboard.press("Escape")
    assert "1개" in page.locator("#documents").inner_text()
    ask(page, "도토리는 언제 익어요?")
    assert "도토리는 가을에 익어요." in standin.questions()[0]
    page.click("#documents")
    page.click("[aria-label='좋음.txt 빼기']")
    until(page, "document.querySelector('#documents').textContent.includes('고르세요')")


def test_pages_of_a_pdf_are_places(open_page, standin):
    page = open_page()
    page.select_option("#mode", "documents")
    add(page, "숲.pdf", b"%PDF-1.4", "application/pdf")
    ask(page, "도토리는 언제 익습니까?")
    assert "1쪽" in page.locator(".source").first.inner_text()


def test_a_small_context_gets_fewer_passages_and_no_more_than_fit(open_page, standin):
    standin.models = [{"id": "small", "context": 256}]
    page = open_page()
    page.select_option("#mode", "documents")
    text = "\n\n".join(
        f"{number}번 나무에는 도토리가 많이 열렸어요. 다람쥐가 그것을 모두 모았어요." for number in range(60)
    )
    add(page, "나무.txt", text.encode())
    ask(page, "도토리가 많이 열린 나무는 어디에 있어요?")
    assert 1 <= page.locator(".source").count() <= 3
    assert len(standin.questions()[0]) < 256


def test_passages_are_whole_sentences_within_their_size(open_page):
    page = open_page()
    sentence = "가을이 오면 숲에는 도토리가 떨어진다. "
    found = passages_of(page, [sentence * 40 + "\n\n" + sentence * 4, "둘째 쪽이다! 정말로?"], 60)
    assert all(one["text"].endswith((".", "!", "?")) for one in found)
    assert found[0]["text"].split(". ")[-1] in found[1]["text"], "the last sentence stands again in the next passage"
    assert (found[-2]["text"], found[-2]["paragraph"]) == ((sentence * 4).strip(), 2)
    assert (found[-1]["text"], found[-1]["page"]) == ("둘째 쪽이다! 정말로?", 2)
    everything = "".join(one["text"] for one in passages_of(page, ["가" * 1000], 50))
    assert everything == "가" * 1000
    assert passages_of(page, ["", "  \n\n "], 50) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("집에 갔다. 잠을 잤다.", ["집에 갔다.", "잠을 잤다."]),
        ("정말요? 네! 좋아요…", ["정말요?", "네!", "좋아요…"]),
        ('"가자." 그가 말했다.', ['"가자."', "그가 말했다."]),
        (
            "Dr. Kim met Mr. Lee. They ate 3.5 pies, e.g. apple.",
            ["Dr. Kim met Mr. Lee.", "They ate 3.5 pies, e.g. apple."],
        ),
        ("2. 둘째 장이다. 끝.", ["2. 둘째 장이다.", "끝."]),
        ("가나다\n- 하나\n- 둘", ["가나다", "- 하나", "- 둘"]),
    ],
)
def test_sentences_end_where_readers_end_them(open_page, text, expected):
    page = open_page()
    assert page.evaluate("async (text) => (await import('./js/passages.js')).sentences(text)", text) == expected
