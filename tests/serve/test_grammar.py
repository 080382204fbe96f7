"""Grammars over a model's tokens: every walk through one ends in what it asks for."""

import json

import numpy as np
import pytest
from hostile import SCHEMAS, nested
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dotori.runtime.session import Session
from dotori.serve.errors import ApiError
from dotori.serve.grammar import Grammars, Matched, Tool, check_schema
from dotori.serve.limits import Limits

QUIET = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def session(model_file) -> Session:
    return Session(model_file, threads=1)


@pytest.fixture(scope="module")
def grammars(session) -> Grammars:
    return Grammars(session)


def walk(session: Session, found: Matched, seed: int, most: int = 600) -> tuple[str, bool]:
    """Text of allowed ids drawn at random, and whether it came to its end."""
    dice, data = np.random.default_rng(seed), b""
    for _ in range(most):
        allowed = np.flatnonzero(np.unpackbits(found.bitmask().view(np.uint8), bitorder="little"))
        assert len(allowed)
        assert allowed.max() < session.vocab_size
        index = int(dice.choice(allowed))
        if index in session.stop_ids:
            return data.decode(), True
        found.accept(index)
        data += session.tokenizer.token_bytes(index)
        if found.is_done:
            return data.decode(), True
    return data.decode(errors="ignore"), False


LEAVES = st.sampled_from(
    [
        {"type": "string", "maxLength": 4},
        {"type": "integer", "minimum": -5, "maximum": 99},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["가", 'a"b', 3, None]},
        {"const": {"x": [1]}},
        {"type": "string", "pattern": "^[가-힣]{1,3}$"},
    ]
)
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item, "maxItems": 2}, inner),
        st.builds(
            lambda parts: {
                "type": "object",
                "properties": parts,
                "required": list(parts),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["a", "나", 'q"']), inner, max_size=3),
        ),
        st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner),
    ),
    max_leaves=5,
)


@QUIET
@given(shape=SHAPES, seed=st.integers(0, 2**32))
def test_walks_fit_their_schema(session, grammars, shape, seed):
    from jsonschema_rs import is_valid

    text, ended = walk(session, grammars.json_schema(shape, "schema"), seed)
    if ended:
        assert is_valid(shape, json.loads(text))


@QUIET
@given(seed=st.integers(0, 2**32), parallel=st.booleans())
def test_walks_call_tools(session, grammars, seed, parallel):
    from dotori.serve.tools import CallBegins, CallReader

    shape = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}}
    shape |= {"required": ["n"], "additionalProperties": False}
    tools = [Tool("one", "", shape), Tool("two", "", shape)]
    text, ended = walk(session, grammars.tools(tools, True, parallel, 4), seed)
    reader = CallReader()
    begun = [part for part in reader.push(text) if isinstance(part, CallBegins)]
    if ended:
        assert 1 <= len(begun) == reader.calls <= (4 if parallel else 1)


@QUIET
@given(seed=st.integers(0, 2**32))
def test_free_text_is_whole_characters_and_no_call_by_accident(session, grammars, seed):
    tools = [Tool("one", "", {"type": "object", "properties": {}, "additionalProperties": False})]
    text, ended = walk(session, grammars.tools(tools, False, False, 1), seed, most=60)
    if text.lstrip(" \n").startswith("<tool_call>") and ended:
        assert text.lstrip(" \n") == '<tool_call>{"name": "one", "arguments": {}}</tool_call>'


@pytest.mark.parametrize("number", range(len(SCHEMAS)))
def test_broken_and_exploding_schemas_are_refused(grammars, number):
    with pytest.raises(ApiError) as caught:
        grammars.json_schema(SCHEMAS[number], "schema")
    assert caught.value.status == 400
    assert len(caught.value.message) < 1000


def test_schemas_are_measured_before_any_work(grammars):
    for schema in (nested(100), nested(400), {"enum": ["x"] * 5000}, {"description": "x" * 40_000}):
        with pytest.raises(ApiError, match="too large") as caught:
            check_schema(schema, "schema")
        assert caught.value.code == "schema_too_large"
    check_schema(nested(Limits.schema_depth - 2), "schema")


def test_a_known_schema_is_not_compiled_again(grammars):
    shape = {"type": "string", "pattern": "^(a|b)[가-힣]{1,200}(c|d){1,50}$"}
    first, second = grammars.json_schema(shape, "s"), grammars.json_schema(shape, "s")
    first.accept(next(iter(np.flatnonzero(np.unpackbits(first.bitmask().view(np.uint8), bitorder="little")))).item())
    assert not np.array_equal(first.bitmask(), second.bitmask())
