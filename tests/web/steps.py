"""What a person does with the page, for the tests."""

import time
from typing import Any


def until(page: Any, expression: str, seconds: float = 10.0) -> None:
    """Waits for a condition in the page. Playwright's own wait needs `eval`, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true in the page: {expression}"
        page.wait_for_timeout(40)


def ready(page: Any) -> None:
    """Waits until the page is wired and knows its models, or asks for a key."""
    until(page, "!!document.querySelector('#model-place [title], #model-place select, dialog[open]')")
    until(page, "document.querySelector('#main').getAttribute('aria-busy') === 'false'")


def finished(page: Any, turns: int) -> None:
    """Waits until there are so many turns and the last is answered."""
    count = "document.querySelectorAll('article.turn').length"
    until(page, f"{count} >= {turns} && !document.querySelector('#send.running')", 30)
    # The last piece is drawn with the next frame.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def ask(page: Any, text: str) -> None:
    """Types and sends, and waits for the whole answer."""
    before = page.locator("article.turn").count()
    page.fill("#message", text)
    page.keyboard.press("Enter")
    finished(page, before + 1)


def answers(page: Any) -> list[str]:
    """The answers on the page, as they read."""
    return page.locator(".prose").all_inner_texts()
