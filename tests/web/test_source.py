"""The page's source: no dangerous sink, no inline code, no address elsewhere, short files, words in both languages."""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
JS = WEB / "js"
LONGEST_FILE, LONGEST_LINE = 350, 120


BANNED = {
    "innerHTML": r"\.innerHTML\b",
    "outerHTML": r"\.outerHTML\b",
    "insertAdjacentHTML": r"insertAdjacentHTML",
    "document.write": r"document\.write",
    "eval": r"\beval\s*\(",
    "Function": r"\bnew\s+Function\b|\bFunction\s*\(",
    "timers from strings": r"set(Timeout|Interval)\s*\(\s*['\"`]",
    "event attributes": r"setAttribute\s*\(\s*['\"]on",
    "javascript addresses": r"['\"`]javascript:",
    "fragments from strings": r"createContextualFragment|DOMParser|srcdoc|setHTML",
    "addresses elsewhere": r"['\"`(]https?://(?!www\.w3\.org/2000/svg)[\w.-]+\.",
}


@pytest.mark.parametrize("path", sorted(WEB.rglob("*.js")), ids=lambda path: path.name)
def test_source_has_no_dangerous_sinks(path):
    text = path.read_text()
    for name, pattern in BANNED.items():
        assert not re.search(pattern, text), f"{path.name}: {name}"


def test_the_page_has_no_inline_code_and_its_policy():
    text = (WEB / "index.html").read_text()
    assert not re.search(r"\son\w+\s*=|\sstyle\s*=|<style|<script(?![^>]*\ssrc=)", text)
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'" in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "@import" not in (WEB / "style.css").read_text()
    assert "url(" not in (WEB / "style.css").read_text()


@pytest.mark.parametrize("path", sorted(JS.glob("*.js")), ids=lambda path: path.name)
def test_files_are_short_and_say_what_they_are(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= LONGEST_FILE
    assert lines[0].startswith("/*")
    if not path.name.startswith("strings-"):
        assert [line for line in lines if len(line) > LONGEST_LINE] == []
    assert not [line for line in lines if re.search(r"\b(TODO|FIXME|XXX)\b", line)]


def test_every_module_that_is_imported_exists():
    for path in JS.glob("*.js"):
        for name in re.findall(r"(?:from|import\() ?'\./([\w-]+\.js)'", path.read_text()):
            assert (JS / name).is_file() or name == "engine-wllama.js", f"{path.name} imports {name}"


def test_both_languages_have_all_words_and_the_page_uses_them():
    words = {
        name: dict(re.findall(r"^  '([\w.-]+)': (.+),$", (JS / f"strings-{name}.js").read_text(), re.M))
        for name in ("ko", "en")
    }
    assert words["ko"].keys() == words["en"].keys()
    for key in words["ko"]:
        places = [set(re.findall(r"\{\w+\}", words[name][key])) for name in ("ko", "en")]
        assert places[0] == places[1], key
    source = "".join(
        path.read_text() for path in [*JS.glob("*.js"), JS.parent / "index.html"] if "strings-" not in path.name
    )
    for key in words["ko"]:
        stem = key.rsplit(".", 1)[0]
        assert key in source or f"`{stem}.$" in source or f"`{stem.split('.')[0]}.$" in source, f"{key}: never said"
