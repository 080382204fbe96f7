"""The page from `dotori serve` itself: its own headers, its own model, its own ranking."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from .steps import answers, ask, until

pytestmark = pytest.mark.slow

WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def served(micro_run: Path) -> Iterator[str]:
    """The address of a server over the micro run's model."""
    pytest.importorskip("dotori.cli.serve", reason="there is no server in this tree")
    command = [sys.executable, "-m", "dotori.cli.main", "serve", f"micro={micro_run / 'export-q4_0'}", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "DOTORI_API_KEY"}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    lines: Queue[str] = Queue()
    # Its later lines are read too: a full pipe would stop it.
    threading.Thread(target=lambda: [lines.put(line) for line in server.stderr or ()], daemon=True).start()
    try:
        yield _address(lines)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(WAIT_SECONDS)
        if server.stderr:
            server.stderr.close()


def _address(lines: "Queue[str]") -> str:
    said = ""
    while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
        try:
            said += lines.get(timeout=WAIT_SECONDS)
        except Empty:
            pytest.fail(f"the server does not say where it is: {said}")
    return found.group() + "/"


def test_a_conversation(open_page, served):
    page = open_page(served)
    assert page.locator("#model-place").inner_text() == "micro"
    page.click("#open-settings")
    page.fill("#setting-max_tokens", "24")
    page.locator("#setting-max_tokens").blur()
    ask(page, "아침에 미나는 공원에 갔어요.")
    assert page.locator(".note-error").count() == 0
    assert re.search(r"\d+ 토큰", page.locator(".figures").inner_text())
    assert re.search(r"문맥 \d+ / \d+", page.locator("#context").inner_text())
    first = answers(page)
    page.reload()
    until(page, "document.querySelectorAll('.prose').length === 1")
    assert answers(page) == first


def test_a_question_over_a_document(open_page, served):
    page = open_page(served)
    page.select_option("#mode", "documents")
    text = "도토리는 가을에 익습니다.\n\n다람쥐는 겨울을 준비합니다.\n\n여름에는 비가 옵니다."
    page.set_input_files("#files", {"name": "숲.txt", "mimeType": "text/plain", "buffer": text.encode()})
    until(page, "document.querySelector('#documents').textContent.includes('1')")
    ask(page, "도토리는 언제 익습니까?")
    assert page.locator(".note-error").count() == 0
    page.locator(".source").first.click()
    assert "도토리는 가을에 익습니다." in page.locator("dialog mark").inner_text()
    page.keyboard.press("Escape")


def test_a_broken_pdf_is_named(open_page, served):
    page = open_page(served)
    page.select_option("#mode", "documents")
    page.set_input_files("#files", {"name": "깨짐.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 broken"})
    page.wait_for_selector("dialog[open]")
    assert "깨짐.pdf" in page.locator("dialog").inner_text()


def test_a_text_beyond_the_context_is_said_in_plain_words(open_page, served):
    page = open_page(served)
    ask(page, "도토리 " * 3000)
    assert "너무 길어" in page.locator(".note-error").inner_text()
