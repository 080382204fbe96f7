import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.runtime.stop import StopStrings
from dotori.tokenizer.load import Tokenizer


def _shown(tokenizer: Tokenizer, ids: list[int], stop: list[str]) -> list[int]:
    watch, shown = StopStrings(tokenizer, stop), []
    for index in ids:
        ready, stopped = watch.push(index)
        shown += ready
        if stopped:
            return shown
    return shown + watch.finish()


@settings(max_examples=400, deadline=None)
@given(
    st.text(alphabet="도토리숲 squirel\n.👍", max_size=40),
    st.lists(st.text(alphabet="도토리숲 squirel\n.👍", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_text_ends_before_the_first_stop_string(tokenizer: Tokenizer, text: str, stop: list[str]):
    places = {place for place in map(text.find, stop) if place >= 0}
    shown = tokenizer.decode(_shown(tokenizer, tokenizer.encode(text), stop))
    # Of two stop strings the one that is complete first wins, which need not be the one that begins first.
    assert shown in {text[:place] for place in places or {len(text)}}
    assert not any(word in shown for word in stop)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 319), max_size=30))
def test_without_a_match_every_id_comes_through(tokenizer: Tokenizer, ids: list[int]):
    assert _shown(tokenizer, ids, ["\x01never\x02"]) == ids


def test_a_straddling_token_is_cut(tokenizer: Tokenizer):
    ids = tokenizer.encode("The squirrel hides")
    assert len(ids) < 12
    assert tokenizer.decode(_shown(tokenizer, ids, ["irrel"])) == "The squ"


def test_ids_are_released_as_soon_as_they_are_safe(tokenizer: Tokenizer):
    watch = StopStrings(tokenizer, ["\n\n"])
    a, newline = tokenizer.encode("a")[0], tokenizer.encode("\n")[0]
    assert watch.push(a) == ([a], False)
    assert watch.push(newline) == ([], False)
    assert watch.push(a) == ([newline, a], False)
    assert watch.push(newline) == ([], False)
    assert watch.push(newline) == ([], True)


def test_an_empty_stop_string_is_refused(tokenizer: Tokenizer):
    with pytest.raises(UserError, match="empty string"):
        StopStrings(tokenizer, ["a", ""])
