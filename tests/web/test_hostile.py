"""300 texts that try to run something, in every role of a conversation, in a real browser under the real policy."""

import json

import pytest

from .payloads import payloads
from .steps import ask, until

pytestmark = pytest.mark.slow

WATCH = """() => {
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));
}"""
# Elements and attributes that an answer may consist of.
CHECK = """
  const TAGS = new Set(['DIV', 'P', 'BR', 'STRONG', 'EM', 'CODE', 'DEL', 'A', 'SPAN', 'H3', 'H4', 'H5', 'H6', 'UL', 'OL', 'LI',
    'BLOCKQUOTE', 'HR', 'PRE', 'TABLE', 'THEAD', 'TBODY', 'TR', 'TH', 'TD', 'BUTTON']);
  const ATTRIBUTES = new Set(['href', 'title', 'target', 'rel', 'class', 'tabindex', 'start', 'type', 'aria-label']);
  const bad = (root) => [...root.querySelectorAll('*')].filter((element) => !TAGS.has(element.tagName)
    || [...element.attributes].some((one) => !ATTRIBUTES.has(one.name))
    || (element.tagName === 'A' && !/^https?:$/.test(new URL(element.getAttribute('href')).protocol))).map((one) => one.outerHTML);
"""


def test_there_are_enough_and_they_differ():
    assert len(payloads()) >= 300
    assert len(set(payloads())) == len(payloads())


def test_split_at_every_character_nothing_but_our_nodes_appears(open_page):
    page = open_page()
    page.evaluate(WATCH)
    wrong = page.evaluate(
        "async (texts) => {" + CHECK + """
          const { MarkdownView } = await import('./js/markdown.js');
          const wrong = [];
          for (const text of texts) {
            for (let at = 0; at <= text.length; at += 1) {
              const box = document.createElement('div');
              document.body.append(box);
              const view = new MarkdownView(box, { cite: (number) => document.createTextNode('[' + number + ']') });
              view.append(text.slice(0, at));
              wrong.push(...bad(box));
              view.append(text.slice(at));
              view.finish();
              wrong.push(...bad(box));
              box.remove();
            }
          }
          await new Promise((resolve) => setTimeout(resolve, 300));
          return wrong;
        }""",
        payloads(),
    )  # fmt: skip
    assert wrong[:3] == []
    assert page.evaluate("window.ran") is None
    assert page.evaluate("window.violations") == []
    # The watch itself works: markup put in by force is seen, and stopped by the policy.
    page.evaluate("document.querySelector('#turns').innerHTML = '<p onclick=\"window.ran=1\">x</p>'")
    page.click("#turns p")
    until(page, "window.violations.length > 0")
    assert page.evaluate("window.ran") is None
    page.trouble.errors.clear()


def test_in_every_role_of_a_conversation_nothing_runs(open_page, standin):
    """Questions, answers, titles, model names, file names, passages and error texts of an imported conversation."""
    texts = payloads()
    standin.models = [{"id": text, "context": 512} for text in texts[:40]]
    answer = {"state": "stop", "usage": None, "readFrom": 0, "context": 512}
    conversations = []
    for number, text in enumerate(texts):
        source = {"number": 1, "documentId": text, "document": text, "place": text, "text": text}
        exchange = {
            "mode": "documents",
            "question": text,
            "answers": [answer | {"text": f"{text} [1]", "model": text, "sources": [source]}],
            "active": 0,
        }
        conversations.append(
            {"id": f"c{number // 20}", "title": text, "named": True, "mode": "documents", "exchanges": [exchange]}
        )
    merged: dict[str, dict] = {}
    for conversation in conversations:
        first = merged.setdefault(conversation["id"], conversation)
        if first is not conversation:
            first["exchanges"] += conversation["exchanges"]
    body = json.dumps({"format": "dotori-conversations", "version": 1, "conversations": list(merged.values())})
    page = open_page()
    page.evaluate(WATCH)
    page.click("#open-settings")
    page.set_input_files(
        "#settings-body input[type=file]", {"name": "a.json", "mimeType": "application/json", "buffer": body.encode()}
    )
    page.wait_for_selector(f"#conversations li:nth-child({len(merged)})")
    for index in range(len(merged)):
        page.locator(".conversation").nth(index).click()
        page.locator(".source").first.click()
        page.keyboard.press("Escape")
        inside = page.evaluate("() => {" + CHECK + "return [...document.querySelectorAll('.prose')].flatMap(bad); }")
        assert inside == []
    assert page.evaluate("window.ran") is None
    assert page.evaluate("window.violations") == []


def test_error_texts_and_streamed_answers_run_nothing(open_page, standin):
    texts = payloads()
    standin.reply = lambda body: texts[int(body["messages"][-1]["content"])]
    page = open_page()
    page.evaluate(WATCH)
    for number in range(0, len(texts), 12):
        ask(page, str(number))
    for number in range(0, len(texts), 30):
        standin.refusal = (400, "invalid_value", texts[number])
        ask(page, "오류")
        page.locator(".note-error summary").last.click()
    assert page.evaluate("window.ran") is None
    assert page.evaluate("window.violations") == []
