"""Makes the documentation's pictures with a headless Chromium: PNG icons from web/icon.svg, and screenshots.

python docs/pictures.py icons
python docs/pictures.py tunnel                          # of docs/tunnel_koen.html
python docs/pictures.py page http://127.0.0.1:8080/     # of a running `dotori serve runs/demo/export-q4_0`
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
WEB, DOCS = ROOT / "web", ROOT / "docs"
SIZES = (192, 512)
TALK = ("저녁에 준호는 숲에 갔어요. 준호는 물 두 잔을 마셨어요.", "Mina found a red ball.")
STORIES = """# 미나의 하루

아침에 미나는 공원에 갔어요. 미나는 빨간색 공을 찾았어요. 미나는 아주 기뻤어요.

# 준호의 하루

저녁에 준호는 숲에 갔어요. 준호는 물 두 잔을 마셨어요. 준호는 할머니를 만났어요.
"""


def icons(browser: Browser) -> None:
    """The drawing over the whole square: a phone cuts the corners itself."""
    drawing = (WEB / "icon.svg").read_text(encoding="utf-8").replace('rx="22"', "")
    for size in SIZES:
        page = browser.new_page(viewport={"width": size, "height": size})
        page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:100vw}}</style>{drawing}")
        page.screenshot(path=WEB / f"icon-{size}.png")
        page.close()


def pictures(browser: Browser, url: str) -> None:
    """A question over a document on a desktop, a translation on a phone."""
    page = _opened(browser, url, width=1280, height=800)
    page.select_option("#mode", "translate")
    for text in TALK:
        _ask(page, text)
    page.click("#new")
    page.select_option("#mode", "documents")
    file = {"name": "하루.md", "mimeType": "text/markdown", "buffer": STORIES.encode()}
    page.set_input_files("#files", file)
    page.wait_for_selector("#documents:has-text('1')")
    _ask(page, "준호는 누구를 만났어요?")
    page.click("#open-settings")
    page.wait_for_timeout(7000)  # until the notices are gone
    page.screenshot(path=DOCS / "page-desktop.png")
    phone = _opened(
        browser, url, width=360, height=740, color_scheme="dark", has_touch=True, is_mobile=True, device_scale_factor=2
    )
    phone.select_option("#mode", "translate")
    for text in TALK:
        _ask(phone, text)
    phone.screenshot(path=DOCS / "page-phone.png")


def tunnel(browser: Browser) -> None:
    """The head of the wind tunnel's page."""
    page = browser.new_page(viewport={"width": 1180, "height": 1000})
    page.goto((DOCS / "tunnel_koen.html").as_uri())
    page.screenshot(path=DOCS / "tunnel.png")


def _opened(browser: Browser, url: str, width: int, height: int, **options: object) -> Page:
    context = browser.new_context(locale="ko-KR", viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#main[aria-busy=false]")
    page.wait_for_selector("#model-place [title]", state="attached")
    return page


def _ask(page: Page, text: str) -> None:
    before = page.locator(".answer-bar").count()
    page.fill("#message", text)
    page.click("#send")
    page.wait_for_selector(f".answer-bar >> nth={before}")
    page.wait_for_timeout(300)


def main() -> None:
    """Does what the first argument names."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        if sys.argv[1:] == ["icons"]:
            icons(browser)
        elif sys.argv[1:] == ["tunnel"]:
            tunnel(browser)
        elif sys.argv[1:2] == ["page"] and len(sys.argv) == 3:
            pictures(browser, sys.argv[2])
        else:
            sys.exit(__doc__)
        browser.close()


if __name__ == "__main__":
    main()
