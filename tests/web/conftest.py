"""A headless Chromium for the page's tests; without one they are skipped, and say so."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from .phone import packages, parrot_app, phone, site  # noqa: F401  fixtures of the phone's tests
from .standin import Standin
from .steps import ready

CHROMIUM = os.environ.get("DOTORI_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Chromium, as the system has it."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in DOTORI_CHROMIUM")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install -e '.[dev]'")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A server of the API that does as a test says."""
    server = Standin()
    yield server
    server.stop()


class Trouble:
    """What must never happen in the page: dialogs, errors, requests elsewhere, violations of its policy."""

    def __init__(self, page: Any) -> None:
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._console(message))
        page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: Any) -> None:
        # A refused request is an error of the network, not of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def elsewhere(self, origin: str) -> list[str]:
        """Requests that left the page's own server."""
        return [url for url in self.requests if not url.startswith((origin, "data:", "blob:"))]


@pytest.fixture
def open_page(browser, standin):
    """Opens the page in a fresh profile; afterwards nothing may have gone wrong in it."""
    contexts, troubles = [], []

    def opened(url: str | None = None, language: str = "ko-KR", width: int = 1280, height: int = 800, **options):
        context = browser.new_context(locale=language, viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.trouble = Trouble(page)
        troubles.append((page.trouble, url or standin.url))
        page.goto(url or standin.url)
        ready(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    for trouble, url in troubles:
        assert trouble.errors == []
        assert trouble.dialogs == []
        assert trouble.elsewhere(url) == []
