"""Tool calls out of text, however it is cut into pieces."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dotori.serve.grammar import Tool
from dotori.serve.tools import CallArguments, CallBegins, CallReader, call_text, tool_prompt

NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
ARGUMENTS = st.dictionaries(
    st.text('ab"\\{}[] 가</>', max_size=6), st.text('ab"\\{}</tool_call> 가\n', max_size=14) | st.integers(), max_size=3
)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


def read(text: str, cuts: list[int]) -> list:
    reader = CallReader()
    return [part for piece in pieces(text, cuts) for part in reader.push(piece)] + reader.finish()


@given(st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3), st.lists(st.integers(0, 500), max_size=20))
def test_calls_are_found_however_they_are_cut(calls, cuts):
    written = [(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in calls]
    parts = read("\n".join(call_text(name, arguments) for name, arguments in written), cuts)
    assert [part.name for part in parts if isinstance(part, CallBegins)] == [name for name, _ in written]
    for index, (_, arguments) in enumerate(written):
        mine = [part.text for part in parts if isinstance(part, CallArguments) and part.index == index]
        assert "".join(mine) == arguments
    assert not [part for part in parts if isinstance(part, str)]


@given(st.text("<tol_ca>{} 가\n", max_size=40), st.lists(st.integers(0, 50), max_size=10))
def test_other_text_passes_unchanged(text, cuts):
    parts = read(text, cuts)
    if not text.lstrip(" \n").startswith("<tool_call>"):
        assert "".join(parts) == text


def test_a_call_that_is_cut_off_shows_what_there_was():
    whole = call_text("f", '{"a": 1}')
    assert read(whole[:14], []) == []
    assert read(whole[:-14], []) == [CallBegins(0, "f"), CallArguments(0, '{"a": 1')]
    assert read("<tool", []) == ["<tool"]


def test_the_prompt_names_every_tool():
    text = tool_prompt([Tool("weather", "날씨를 알려 준다", {"type": "object"})], forced=False)
    assert '"weather"' in text
    assert "날씨를 알려 준다" in text
    assert "plain text" in text
    assert "must call" in tool_prompt([Tool("f", "", {})], forced=True)
