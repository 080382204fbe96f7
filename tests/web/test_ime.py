"""Hangul and the Enter key: real composition events through Chromium's input pipeline, and Safari's order of them."""

import pytest

from .steps import answers, ask, finished

pytestmark = pytest.mark.slow

ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "nativeVirtualKeyCode": 13}
PROCESSED = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229, "nativeVirtualKeyCode": 13}


class Keyboard:
    """A Korean keyboard: what it composes is not yet in the text when Enter comes."""

    def __init__(self, page):
        self.page = page
        self.pipe = page.context.new_cdp_session(page)
        page.focus("#message")

    def compose(self, *stages):
        """Shows a syllable as it grows: ㅎ, 하, 한."""
        for text in stages:
            end = len(text)
            self.pipe.send("Input.imeSetComposition", {"text": text, "selectionStart": end, "selectionEnd": end})

    def commit(self, text):
        """The composition ends as `text`."""
        self.pipe.send("Input.insertText", {"text": text})

    def press(self, key):
        """Down and up."""
        extra = {"text": "\r"} if key is ENTER else {}
        self.pipe.send("Input.dispatchKeyEvent", {"type": "keyDown" if extra else "rawKeyDown", **extra, **key})
        self.pipe.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})


@pytest.fixture
def typed(open_page, standin):
    """The page, a keyboard, and a function that tells what was sent and what stayed in the box."""
    page = open_page()

    def sent():
        page.wait_for_timeout(500)
        finished(page, len(standin.asked))
        return standin.questions(), page.input_value("#message")

    return page, Keyboard(page), sent


def test_composing_events_are_what_we_think_they_are(typed):
    page, keyboard, _ = typed
    page.evaluate(
        """() => {
          window.seen = [];
          for (const name of ['compositionstart', 'compositionend', 'keydown'])
            document.querySelector('#message').addEventListener(name, (event) => seen.push([event.type, event.isComposing ?? null, event.keyCode ?? null]), true);
        }"""
    )
    keyboard.compose("ㅎ", "하", "한")
    keyboard.press(PROCESSED)
    keyboard.commit("한")
    seen = page.evaluate("seen")
    assert ["keydown", True, 229] in seen
    assert [one[0] for one in seen if one[0] != "keydown"] == ["compositionstart", "compositionend"]


def test_one_enter_sends_once_with_the_last_syllable(typed):
    """Chrome on Windows: Enter is reported once, as 229, while composing."""
    _, keyboard, sent = typed
    keyboard.compose("ㅇ", "아", "안")
    keyboard.commit("안")
    keyboard.compose("ㄴ", "녀", "녕")
    keyboard.press(PROCESSED)
    keyboard.commit("녕")
    assert sent() == (["안녕"], "")


def test_a_second_report_of_the_same_enter_sends_nothing_more(typed):
    """Chrome on macOS: after the composition Enter is reported again, as itself."""
    _, keyboard, sent = typed
    keyboard.compose("ㄴ", "네")
    keyboard.press(PROCESSED)
    keyboard.commit("네")
    keyboard.press(ENTER)
    assert sent() == (["네"], "")


def test_the_composition_that_ends_late(typed):
    page, keyboard, sent = typed
    keyboard.compose("ㄴ", "네")
    keyboard.press(PROCESSED)
    page.wait_for_timeout(150)
    keyboard.commit("네")
    assert sent() == (["네"], "")


def test_safari_ends_the_composition_before_it_reports_enter(typed):
    page, keyboard, sent = typed
    keyboard.compose("ㅇ", "응")
    keyboard.commit("응")
    page.evaluate(
        """() => {
          const box = document.querySelector('#message');
          box.dispatchEvent(new CompositionEvent('compositionstart', { data: '' }));
          box.dispatchEvent(new CompositionEvent('compositionupdate', { data: '응' }));
          box.dispatchEvent(new CompositionEvent('compositionend', { data: '응' }));
          const event = new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true });
          box.dispatchEvent(event);
          box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 13, bubbles: true, cancelable: true }));
        }"""
    )
    assert sent() == (["응"], "")


@pytest.mark.parametrize(("stages", "picked"), [(("に", "にほん", "日本"), "日本"), (("ㅎ", "하", "한"), "韓")])
def test_enter_that_picks_a_candidate_sends_nothing(typed, stages, picked):
    page, keyboard, sent = typed
    keyboard.compose(*stages)
    keyboard.press(PROCESSED)
    keyboard.commit(picked)
    assert sent() == ([], picked)
    keyboard.press(ENTER)
    finished(page, 1)
    assert sent() == ([picked], "")


def test_shift_enter_is_a_new_line_even_after_hangul(typed):
    page, keyboard, sent = typed
    keyboard.compose("ㄱ", "가")
    keyboard.commit("가")
    page.keyboard.press("Shift+Enter")
    keyboard.compose("ㄴ", "나")
    keyboard.commit("나")
    assert sent() == ([], "가\n나")
    keyboard.press(ENTER)
    assert sent() == (["가\n나"], "")


def test_the_button_waits_for_the_syllable_too(typed):
    page, keyboard, sent = typed
    keyboard.compose("ㄱ", "가")
    page.click("#send")
    assert sent() == (["가"], "")


def test_syllables_go_on_after_a_message_was_sent(typed):
    page, keyboard, sent = typed
    for word in ("하나", "두울", "세엣"):
        keyboard.compose(word[0])
        keyboard.commit(word[0])
        keyboard.compose(word[1])
        keyboard.press(PROCESSED)
        keyboard.commit(word[1])
        page.wait_for_timeout(100)
    assert sent() == (["하나", "두울", "세엣"], "")


def test_enter_while_an_answer_grows_keeps_the_text(open_page, standin):
    standin.delay = 0.3
    page = open_page()
    page.fill("#message", "하나")
    page.keyboard.press("Enter")
    page.fill("#message", "둘")
    page.keyboard.press("Enter")
    assert page.input_value("#message") == "둘"
    finished(page, 1)
    page.keyboard.press("Enter")
    finished(page, 2)
    assert standin.questions() == ["하나", "둘"]


def test_decomposed_hangul_is_sent_composed(open_page, standin):
    page = open_page()
    ask(page, "\u1112\u1161\u11ab\u1100\u1173\u11af")
    assert standin.questions() == ["한글"]
    assert answers(page) == ["안녕하세요."]


def test_on_a_touch_screen_enter_is_a_new_line(open_page, standin):
    page = open_page(width=390, height=800, has_touch=True, is_mobile=True)
    page.fill("#message", "가")
    page.keyboard.press("Enter")
    page.keyboard.type("b")
    assert page.input_value("#message") == "가\nb"
    page.tap("#send")
    finished(page, 1)
    assert standin.questions() == ["가\nb"]
