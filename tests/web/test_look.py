"""How the page looks: languages, light and dark, phone and desktop, keyboard and screen reader."""

import time

import pytest

from .steps import ask, ready, until

pytestmark = pytest.mark.slow

LONG = (
    "# 제목\n\n"
    + "아주긴낱말" * 40
    + "\n\n```\n"
    + "x" * 300
    + "\n```\n\n|"
    + "칸|" * 12
    + "\n|"
    + "-|" * 12
    + "\n|"
    + "값|" * 12
)
SIZES = [(360, 640), (390, 844), (768, 1024), (1280, 800), (1920, 1080)]


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("language", ["ko-KR", "en-US"])
def test_nothing_scrolls_sideways(open_page, standin, width, height, language):
    standin.reply = lambda body: [LONG]
    page = open_page(language=language, width=width, height=height)
    wide = "document.documentElement.scrollWidth > innerWidth || document.querySelector('#scroller').scrollWidth > document.querySelector('#scroller').clientWidth"
    assert not page.evaluate(wide)
    for mode in ("translate", "documents", "assistant"):
        page.select_option("#mode", mode)
        assert not page.evaluate(wide)
        assert page.evaluate(
            "document.querySelector('.controls').scrollWidth <= document.querySelector('.controls').clientWidth"
        )
    ask(page, "긴물음" * 60)
    assert not page.evaluate(wide)
    page.click("#open-settings")
    assert page.evaluate(
        "document.querySelector('#settings-body').scrollWidth <= document.querySelector('#settings-body').clientWidth"
    )
    box = page.locator("#settings").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_light_and_dark_follow_the_system_and_the_switch(open_page, standin):
    page = open_page(color_scheme="dark")
    assert background(page) == "rgb(27, 23, 20)"
    page.click("#open-settings")
    page.click("text=밝게")
    assert background(page) == "rgb(251, 248, 243)"
    page.reload(wait_until="commit")
    ready(page)
    assert background(page) == "rgb(251, 248, 243)"
    page.click("#open-settings")
    page.click(".segment >> text=시스템")
    assert background(page) == "rgb(27, 23, 20)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(open_page, standin, scheme):
    """Contrast of 4.5 for every text on the page, as WCAG asks."""
    standin.reply = lambda body: ["글 `코드` [1](https://example.org)\n\n> 인용"]
    page = open_page(color_scheme=scheme)
    ask(page, "약을 먹어도 되나요?")
    page.click("#open-settings")
    weak = page.evaluate(
        """() => {
          const light = (rgb) => { const c = rgb.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
          const parse = (text) => text.match(/[\\d.]+/g).map(Number);
          const behind = (element) => { for (let at = element; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor);
            if (c.length === 3 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
          const found = [];
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const element = walk.currentNode.parentElement;
            if (!walk.currentNode.data.trim() || !element.checkVisibility({ opacityProperty: true }) || element.closest('.hidden-visually, .skip, :disabled')) continue;
            const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
            if ((a + 0.05) / (b + 0.05) < 4.5) found.push([walk.currentNode.data.trim().slice(0, 30), (a + 0.05) / (b + 0.05)]);
          }
          return found;
        }"""
    )
    assert weak == []


def test_languages_follow_the_browser_and_the_switch(open_page):
    page = open_page(language="en-GB")
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("#message", "placeholder") == "Write a message"
    page.click("#open-settings")
    page.click("text=한국어")
    assert page.get_attribute("html", "lang") == "ko"
    assert page.locator("#new").inner_text() == "새 대화"
    page.reload()
    ready(page)
    assert page.get_attribute("#message", "placeholder") == "메시지를 입력하세요"


def test_every_control_has_a_name_and_the_keyboard_reaches_it(open_page, standin):
    page = open_page()
    ask(page, "물음")
    page.click("#open-settings")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea')].filter((element) => element.checkVisibility()
          && element.tabIndex >= 0 && !element.getAttribute('aria-label') && !element.textContent.trim() && !element.labels?.length)
          .map((element) => element.outerHTML)"""
    )
    assert nameless == []
    page.locator("body").click(position={"x": 700, "y": 300})
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
            )
        )
    assert {"message", "mode", "search", "new", "setting-seed", "답 복사", "다시 답하기"} <= reached


def test_drawers_on_a_phone_hold_the_focus_and_give_it_back(open_page, standin):
    page = open_page(width=360, height=640, has_touch=True, is_mobile=True)
    assert page.locator("#sidebar").is_hidden()
    page.click("#open-list")
    assert page.locator("#sidebar").is_visible()
    assert page.evaluate("document.querySelector('#main').inert")
    page.keyboard.press("Escape")
    assert page.locator("#sidebar").is_hidden()
    assert page.evaluate("document.activeElement.id") == "open-list"
    page.click("#open-list")
    page.tap("#shade", position={"x": 350, "y": 300})
    assert page.locator("#sidebar").is_hidden()


def test_fingers_find_the_buttons_and_focus_does_not_zoom(open_page, standin):
    page = open_page(width=360, height=640, has_touch=True, is_mobile=True)
    page.fill("#message", "물음")
    page.tap("#send")
    page.wait_for_selector(".answer-bar")
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, select')].filter((one) => one.checkVisibility())
          .map((one) => [one.id || one.className, one.getBoundingClientRect()]).filter(([, box]) => box.width < 30 || box.height < 30).map(([name]) => name)"""
    )
    assert small == []
    sizes = page.evaluate(
        "[...document.querySelectorAll('input:not([type=radio], [type=file]), textarea')].map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 16, "Safari zooms in on smaller text"


def test_the_message_box_stays_above_a_phone_keyboard(open_page):
    page = open_page(width=360, height=640, has_touch=True, is_mobile=True)
    page.set_viewport_size({"width": 360, "height": 330})
    until(page, "document.querySelector('#send').getBoundingClientRect().bottom <= 330")


def test_the_page_stays_where_the_reader_scrolled(open_page, standin):
    standin.reply = lambda body: (f"{number}번째 줄\n\n" for number in range(120))
    standin.delay = 0.01
    page = open_page(height=500)
    page.fill("#message", "길게")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.prose p').length > 40")
    page.evaluate("document.querySelector('#scroller').scrollTop = 0")
    page.wait_for_timeout(400)
    assert page.evaluate("document.querySelector('#scroller').scrollTop") == 0
    page.click("#latest")
    until(page, "document.querySelector('#scroller').scrollTop > 500 && document.querySelector('#latest').hidden")


def test_reduced_motion_moves_nothing(open_page, standin):
    standin.reply = lambda body: (time.sleep(1), "늦은 답")[1:]
    page = open_page(reduced_motion="reduce")
    page.fill("#message", "물음")
    page.keyboard.press("Enter")
    page.wait_for_selector(".waiting .acorn")
    assert page.evaluate("getComputedStyle(document.querySelector('.waiting .acorn')).animationName") == "none"
    page.click("#send")
