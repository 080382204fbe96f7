"""A page in a browser that believes it is a phone, and the exported apps that it opens."""

import pytest

from dotori.errors import UserError
from dotori.export.npm import PACKAGES, find_packages
from dotori.export.web import WebSettings, export_web
from dotori.runlog import RunLog

from .site import Site

SAYS = "도토리는 가을 숲에서 조용히 자라요."
PHONE = {
    "viewport": {"width": 412, "height": 839},
    "device_scale_factor": 2.625,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Mobile Safari/537.36",
}
READY = "#model-place .model:has-text('{}')"
TALK = """async ([messages, sampling]) => {
  const { createEngine } = await import(new URL('js/engine-wllama.js', document.baseURI));
  globalThis.engine ??= createEngine(await (await fetch('config.json')).json());
  if (!engine.wllama) await engine.prepare(() => undefined);
  let text = '';
  for await (const event of engine.chat({ messages, sampling })) {
    if (event.done) return { ...event, text };
    text += event.text;
  }
}"""


@pytest.fixture(scope="session")
def packages():
    try:
        found = find_packages({}, fetch=False)
    except UserError as error:
        pytest.skip(f"{error}")
    if missing := PACKAGES.keys() - found.keys():
        pytest.skip(f"npm packages {sorted(missing)} are not in the cache: dotori export web MODEL --out DIR --npm")
    return found


@pytest.fixture(scope="session")
def parrot_app(parrot, packages, tmp_path_factory):
    out = tmp_path_factory.mktemp("phone") / "app"
    export_web(WebSettings(part_bytes=65536, name="앵무새"), parrot, packages, out, RunLog(quiet=True))
    return out


@pytest.fixture
def site(parrot_app):
    found = Site(parrot_app)
    yield found
    found.stop()


class Phone:
    """A page in a browser that believes it is a phone."""

    def __init__(self, browser, url: str, language: str = "ko-KR", init: str = "", **options) -> None:
        self.context = browser.new_context(**{**PHONE, "locale": language, **options})
        if init:
            self.context.add_init_script(init)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.url = url

    def open(self, name: str = "앵무새"):
        self.page.goto(self.url)
        return self.wait(name)

    def wait(self, name: str = "앵무새"):
        self.page.wait_for_selector(READY.format(name), state="attached")
        self.page.wait_for_selector("dialog.prepare", state="detached")
        return self.page

    def trouble(self) -> str:
        """The words of the screen that could not go on."""
        self.page.wait_for_selector("dialog.prepare .button-main")
        return self.page.inner_text("dialog.prepare")

    def again(self) -> None:
        self.page.click("dialog.prepare .button-main")

    def say(self, text: str) -> str:
        before = self.page.locator(".answer").count()
        self.page.fill("#message", text)
        self.page.click("#send")
        answer = self.page.locator(".answer").nth(before)
        answer.locator(".answer-bar, .note-error").first.wait_for()
        return answer.inner_text()


@pytest.fixture
def phone(browser, site):
    made = []

    def opened(url: str | None = None, **options) -> Phone:
        made.append(Phone(browser, url or site.url, **options))
        return made[-1]

    yield opened
    for one in made:
        one.context.close()
        assert one.errors == []
