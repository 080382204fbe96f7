"""The page used as a person would: ask, stop, ask again, edit, come back, lose the server, run out of context."""

import itertools
import json
import re

import pytest

from .steps import answers, ask, finished, ready, until

pytestmark = pytest.mark.slow


def test_streams_and_tells_its_speed(open_page, standin):
    page = open_page()
    assert page.locator("html").get_attribute("lang") == "ko"
    standin.reply = lambda body: ["안녕", "하세요. ", "**도토리**", "입니다."]
    standin.delay = 0.05
    ask(page, "안녕?")
    assert answers(page) == ["안녕하세요. 도토리입니다."]
    assert page.locator(".prose strong").inner_text() == "도토리"
    assert re.search(r"4 토큰 · [\d.]+ 토큰/초 · 첫 토큰 \d+ ms", page.locator(".figures").inner_text())
    assert re.fullmatch(r"문맥 \d+ / 2048", page.locator("#context").inner_text())
    assert standin.asked[0]["stream"] is True
    assert standin.asked[0]["temperature"] == 0.3
    assert "답이 끝났습니다." in page.locator("#announcer").inner_text()


def test_text_appears_before_the_answer_ends(open_page, standin):
    standin.reply, standin.delay = lambda body: (f"{number} " for number in itertools.count()), 0.03
    page = open_page()
    page.fill("#message", "세어 줘")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.prose')?.textContent.startsWith('0 1 2')")
    assert page.locator("#send").get_attribute("aria-label") == "멈추기"
    page.click("#send")
    page.wait_for_selector("#send:not(.running)")
    assert standin.left.wait(5), "the server keeps talking to nobody"
    text = answers(page)[0]
    assert "멈춤" in page.locator(".figures").inner_text()
    page.wait_for_timeout(200)
    assert answers(page)[0] == text
    page.reload()
    page.wait_for_selector(".prose")
    assert answers(page)[0] == text


def test_answers_again_keep_the_ones_before(open_page, standin):
    numbers = itertools.count(1)
    standin.reply = lambda body: [f"답 {next(numbers)}"]
    page = open_page()
    ask(page, "물음")
    page.click("[data-act=again]")
    page.wait_for_selector(".pager")
    assert page.locator(".pager").inner_text() == "2 / 2"
    assert answers(page) == ["답 2"]
    page.click("[aria-label='이전 답']")
    assert answers(page) == ["답 1"]
    assert len(standin.asked[1]["messages"]) == len(standin.asked[0]["messages"])


def test_editing_asks_again_and_can_be_undone(open_page, standin):
    standin.reply = lambda body: ["들은 말: " + body["messages"][-1]["content"]]
    page = open_page()
    ask(page, "하나")
    ask(page, "둘")
    page.locator("[data-act=edit]").first.click()
    page.fill(".question-editor textarea", "셋")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.prose').length === 1 && !document.querySelector('#send.running')")
    assert answers(page) == ["들은 말: 셋"]
    page.click(".notice .link-button")
    until(page, "document.querySelectorAll('.prose').length === 2")
    assert answers(page) == ["들은 말: 하나", "들은 말: 둘"]


def test_conversations_last_are_found_renamed_deleted_and_brought_back(open_page, standin):
    page = open_page()
    ask(page, "가을 이야기")
    page.click("#new")
    ask(page, "겨울 이야기")
    page.reload()
    page.wait_for_selector(".conversation")
    assert answers(page) == ["안녕하세요."]
    assert page.locator(".conversation").all_inner_texts() == ["겨울 이야기", "가을 이야기"]
    page.fill("#search", "가을")
    assert page.locator(".conversation").all_inner_texts() == ["가을 이야기"]
    page.fill("#search", "")
    page.locator("li.here").hover()
    page.click("li.here [aria-label^='이름 바꾸기']")
    page.fill("dialog input", "눈 오는 날")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=눈 오는 날")
    page.locator("li.here").hover()
    page.click("li.here [aria-label^='지우기']")
    until(page, "document.querySelectorAll('.conversation').length === 1")
    page.click(".notice .link-button")
    until(page, "document.querySelectorAll('.conversation').length === 2")


def test_export_erase_import(open_page, standin, tmp_path):
    page = open_page()
    ask(page, "남길 말")
    page.click("#open-settings")
    with page.expect_download() as saved:
        page.click("text=대화 내보내기")
    saved.value.save_as(tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text())["conversations"][0]["title"] == "남길 말"
    page.click("#settings-body >> text=모두 지우기")
    with page.expect_navigation():
        page.click("dialog >> text=모두 지우기 >> nth=-1")
    ready(page)
    assert page.locator(".conversation").count() == 0
    assert page.evaluate("Object.keys(localStorage).length") == 0
    page.click("#open-settings")
    page.set_input_files("#settings-body input[type=file]", tmp_path / "all.json")
    page.click(".conversation")
    assert answers(page) == ["안녕하세요."]
    for broken in ("{", "[]", '{"format": "dotori-conversations", "conversations": 3}'):
        page.set_input_files(
            "#settings-body input[type=file]",
            {"name": "b.json", "mimeType": "application/json", "buffer": broken.encode()},
        )
        page.wait_for_selector("text=도토리가 내보낸 파일이 아닙니다.")


def test_settings_are_sent_and_kept(open_page, standin):
    page = open_page()
    page.click("#open-settings")
    for name, value in {
        "temperature": "0",
        "top_p": "0.9",
        "top_k": "40",
        "min_p": "0.1",
        "max_tokens": "20",
        "seed": "7",
    }.items():
        page.fill(f"#setting-{name}", value)
    page.fill("#setting-system", "짧게.")
    page.locator("#setting-system").blur()
    ask(page, "물음")
    wanted = {"temperature": 0, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "max_tokens": 20, "seed": 7}
    assert {name: standin.asked[0][name] for name in wanted} == wanted
    assert standin.asked[0]["messages"][0] == {"role": "system", "content": "짧게."}
    page.reload()
    ready(page)
    page.click("#open-settings")
    assert page.input_value("#setting-seed") == "7"
    page.click("text=모두 자동으로")
    ask(page, "물음")
    assert "seed" not in standin.asked[1]


def test_old_turns_are_dropped_in_sight(open_page, standin):
    standin.models = [{"id": "small", "context": 200}]
    standin.reply = lambda body: ["가나다라 " * 8]
    page = open_page()
    for number in range(5):
        ask(page, f"{number}번째 물음입니다.")
    assert page.locator(".border").count() == 1
    assert "200토큰" in page.locator(".border").inner_text()
    assert "0번째 물음입니다." not in json.dumps(standin.asked[-1], ensure_ascii=False)
    assert standin.questions()[-1] == "4번째 물음입니다."
    assert standin.asked[-1]["messages"][0]["role"] == "user", "a model this small gets no system prompt"


def test_a_server_that_counts_more_tokens_gets_shorter_prompts(open_page, standin):
    page = open_page()
    for number in range(3):
        ask(page, f"{number}번째")
    refusals = iter([True, True, False])

    def reply(body):
        standin.refusal = None
        return ["네"]

    standin.refusal = (400, "context_length_exceeded", "too many tokens")
    standin.reply = reply
    page.route(
        "**/v1/chat/completions",
        lambda route: (not next(refusals) and setattr(standin, "refusal", None), route.continue_()),
    )
    ask(page, "마지막")
    assert answers(page)[-1] == "네"
    assert page.locator(".border").count() == 1
    assert len(standin.asked[-1]["messages"]) < 8


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((503, "busy", "queue full"), "서버가 바쁩니다"),
        ((500, "server_error", "oops"), "서버에 문제가 생겼습니다"),
        ((400, "context_length_exceeded", "too long"), "너무 길어"),
        ((422, "invalid", "no"), "요청을 받지 않았습니다"),
    ],
)
def test_errors_are_plain_words_with_a_way_on(open_page, standin, refusal, words):
    page = open_page()
    standin.refusal = refusal
    ask(page, "물음")
    assert words in page.locator(".note-error").inner_text()
    page.click(".note-error summary")
    assert refusal[2] in page.locator(".note-error details").inner_text()
    standin.refusal = None
    page.click(".note-error .button")
    page.wait_for_selector(".note-error", state="detached")
    finished(page, 1)
    assert answers(page) == ["안녕하세요."]


def test_a_key_is_asked_for_and_kept_for_the_tab_only(open_page, standin):
    standin.key = "s3cret"
    page = open_page()
    page.fill("dialog input", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog input")
    page.fill("dialog input", "s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model-place >> text=stand-in")
    ask(page, "물음")
    assert answers(page) == ["안녕하세요."]
    assert "s3cret" not in page.evaluate("JSON.stringify(localStorage)")
    assert page.evaluate("sessionStorage.getItem('dotori.key')") == "s3cret"


def test_a_server_that_goes_is_noticed_and_comes_back(open_page, standin):
    page = open_page()
    standin.stop()
    ask(page, "거기 있나요?")
    assert "연결이 끊겼습니다" in page.locator(".note-error").inner_text()
    assert "서버를 찾을 수 없습니다" in page.locator("#banner").inner_text()
    standin.start_again()
    page.wait_for_selector("#banner", state="hidden")
    page.click(".note-error .button")
    finished(page, 1)
    assert answers(page) == ["안녕하세요."]


def test_a_cut_stream_keeps_what_came(open_page, standin):
    def reply(body):
        yield "반쯤 "
        raise ConnectionResetError

    standin.reply = reply
    page = open_page()
    ask(page, "물음")
    assert answers(page) == ["반쯤"]
    assert "연결이 끊겼습니다" in page.locator(".note-error").inner_text()


@pytest.mark.parametrize(
    ("mode", "choice", "question", "sent"),
    [
        ("translate", "auto", "저녁에 갔어요.", "영어로: 저녁에 갔어요."),
        ("translate", "auto", "Mina went home.", "Korean: Mina went home."),
        ("translate", "to-ko", "이미 한국어", "한국어로: 이미 한국어"),
        ("tutor", "explain", "분수", "쉽게 설명해 주세요: 분수"),
        ("write", "sentence", "긴 글", "한 문장으로: 긴 글"),
    ],
)
def test_modes_put_their_words_before_the_text(open_page, standin, mode, choice, question, sent):
    page = open_page()
    page.select_option("#mode", mode)
    page.select_option("#choice", choice)
    ask(page, question)
    assert standin.questions() == [sent]
    assert page.locator(".bubble").inner_text() == question


@pytest.mark.parametrize(
    ("question", "caution"),
    [
        ("머리가 아픈데 약을 먹어도 되나요?", "의사나 약사"),
        ("전세 보증금을 못 받았어요", "132"),
        ("Is ibuprofen safe?", "의사"),
        ("약속을 지키는 법", None),
        ("비가 와요", None),
    ],
)
def test_the_caution_stands_beside_the_answer(open_page, standin, question, caution):
    page = open_page()
    ask(page, question)
    notes = page.locator(".caution").all_inner_texts()
    assert len(notes) == (caution is not None)
    assert all(caution in note for note in notes)
    assert caution is None or caution not in json.dumps(standin.asked, ensure_ascii=False)
    assert answers(page) == ["안녕하세요."]


def test_code_can_be_copied(open_page, standin):
    standin.reply = lambda body: ["```py\nprint(1)\n", "```\n"]
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    ask(page, "코드")
    page.click(".code-head button")
    page.wait_for_selector("text=복사했습니다.")
    assert page.evaluate("navigator.clipboard.readText()") == "print(1)\n"
    page.click("[aria-label='답 복사']")
    until(page, "navigator.clipboard.readText().then((text) => text.startsWith('```py'))")


def test_a_full_browser_says_so_and_goes_on(open_page, standin):
    page = open_page()
    page.evaluate(
        """() => { IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"""
    )
    ask(page, "둘")
    assert "저장 공간이 찼습니다" in page.locator("#banner").inner_text()
    assert answers(page) == ["안녕하세요."]


def test_a_long_question_is_sent_whole_and_shown_in_part(open_page, standin):
    page = open_page()
    page.fill("#message", "가나다 " * 5000)
    page.click("#send")
    finished(page, 1)
    assert len(standin.questions()[0]) == 19_999
    assert "글자 15999개 더" in page.locator(".bubble").inner_text()


def test_a_browser_that_keeps_nothing_says_so_and_works(browser, standin):
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.add_init_script("Object.defineProperty(window, 'indexedDB', { value: undefined })")
    page.goto(standin.url)
    ready(page)
    ask(page, "hello")
    assert answers(page) == ["안녕하세요."]
    assert "Conversations end with the tab" in page.locator("#banner").inner_text()
    context.close()


def test_the_model_is_chosen_and_kept(open_page, standin):
    standin.models = [{"id": "small", "context": 512}, {"id": "large", "context": 4096}]
    page = open_page()
    page.select_option("#model-place select", "large")
    ask(page, "물음")
    assert standin.asked[0]["model"] == "large"
    page.reload()
    ready(page)
    assert page.input_value("#model-place select") == "large"
