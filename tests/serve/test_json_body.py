"""JSON of strangers: what is taken equals json.loads, and the rest is one 400."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.serve.errors import ApiError, shortened
from dotori.serve.json_body import parse_json
from dotori.serve.limits import Limits
from dotori.serve.parse import clean

LIMITS = Limits()
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5), st.booleans())
def test_plain_objects_are_taken_as_they_are(value, ascii_only):
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode(), LIMITS) == value


def status(body: bytes) -> int:
    """400, or 200 for a body that is taken as json.loads takes it."""
    try:
        value = parse_json(body, LIMITS)
    except ApiError as error:
        return error.status
    return 200 if value == json.loads(body) else 500


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(data):
    assert status(data) in (200, 400)


@given(st.text(max_size=40))
def test_any_text_in_a_string(text):
    is_bad = "\0" in text or any(0xD800 <= ord(character) < 0xE000 for character in text)
    assert status(json.dumps({"a": text}).encode()) == (400 if is_bad else 200)


@pytest.mark.parametrize("depth", [62, 63, 64, 65, 1000, 100_000])
def test_depth(depth):
    body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    if depth < LIMITS.json_depth:
        assert parse_json(body, LIMITS)
    else:
        with pytest.raises(ApiError, match="nested deeper"):
            parse_json(body, LIMITS)


def test_a_key_may_not_stand_twice():
    with pytest.raises(ApiError, match="'a' stands twice"):
        parse_json(b'{"b": {"a": 1, "c": 2, "a": 3}}', LIMITS)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.text())))
def test_values_in_messages_are_short_and_printable(value):
    text = shortened(value)
    assert len(text) < 80
    text.encode()


@given(TEXT)
def test_clean_is_nfc_and_settles(text):
    once = clean(text, "x", LIMITS)
    assert clean(once, "x", LIMITS) == once


def test_marks_without_end_are_refused_before_they_cost_anything():
    assert clean("e\u0301" * 1000, "x", LIMITS) == "é" * 1000
    with pytest.raises(ApiError, match="combining marks"):
        clean("a" + "\u0301\u0327" * 2_000_000, "x", LIMITS)
