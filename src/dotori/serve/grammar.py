"""What an answer may look like: JSON, JSON of a schema, tool calls; through llguidance, token by token.

A schema is measured before it is compiled, and compiling and following it have budgets, so that no schema can hold up
the server.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from dotori.errors import UserError
from dotori.runtime.session import Session
from dotori.serve.errors import ApiError, invalid, shortened
from dotori.serve.limits import Limits

# JSON as our tool prompt spells it. Free white space would let a small model write blanks for ever.
_SPELLING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains")
_REMEMBERED = 32

CALL_START, CALL_END = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class Tool:
    """A function that may be called, and the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class Matched:
    """A grammar and the tokens it has taken; the engine's Constraint."""

    def __init__(self, matcher: LLMatcher, words: int) -> None:
        self._matcher, self._words = matcher, words

    def bitmask(self) -> np.ndarray:
        """uint32 (words,): bit i % 32 of word i // 32 tells whether id i may come next. Raises UserError."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint32)[: self._words]
        if self._matcher.is_error() or not mask.any():
            raise UserError(f"grammar: {self.error or 'nothing may follow'}; simplify the schema")
        return mask

    def accept(self, index: int) -> None:
        """Takes an id that the mask allowed."""
        self._matcher.consume_token(index)

    @property
    def is_done(self) -> bool:
        """Whether nothing but the end may follow."""
        return self._matcher.is_stopped()

    @property
    def error(self) -> str:
        """Why the grammar could not be followed to its end; empty when it could."""
        return self._matcher.get_error()


class Grammars:
    """Grammars over one model's tokens. Compiled ones are remembered; all methods may be called from any thread."""

    def __init__(self, session: Session) -> None:
        self._session, self._lock = session, threading.Lock()
        self._known: OrderedDict[str, LLMatcher] = OrderedDict()
        self._budget = LLParserLimits(
            initial_lexer_fuel=200_000,
            step_lexer_fuel=200_000,
            max_lexer_states=50_000,
            max_grammar_size=50_000,
            verbose_errors=False,
        )

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        ends = self._session.stop_ids
        return LLTokenizer(TokenizerWrapper(_Vocabulary(self._session)), self._session.vocab_size, ends, None)

    def json_object(self) -> Matched:
        """Some JSON object."""
        return self._matched(_compiled({"type": "object"}, "response_format"), "response_format")

    def json_schema(self, schema: dict[str, Any], param: str) -> Matched:
        """JSON that fits `schema`; raises ApiError 400 for schemas that are broken, unsupported or too large."""
        check_schema(schema, param)
        return self._matched(_compiled(schema, param), param)

    def tools(self, tools: Sequence[Tool], forced: bool, parallel: bool, calls: int) -> Matched:
        """Calls of `tools`, at most `calls` (one unless `parallel`); unless `forced`, any other text instead.

        Raises ApiError 400 for parameters that are broken, unsupported or too large.
        """
        more = f'("\\n" call){{0,{calls - 1}}}' if parallel and calls > 1 else ""
        rules = [f"start: {'' if forced else 'TEXT | '}call {more}"]
        if not forced:
            rules.append(f"TEXT: /(?s:.*)/ & ~/(?s:[ \\n]*{CALL_START}.*)/")
        rules.append(f'call: "{CALL_START}" ({" | ".join(f"call{n}" for n in range(len(tools)))}) "{CALL_END}"')
        for number, tool in enumerate(tools):
            check_schema(tool.parameters, param := f"tools[{number}].function.parameters")
            if tool.parameters.get("type", "object") != "object":
                raise invalid(f"{param}: type {shortened(tool.parameters['type'])}; arguments are an object", param)
            schema = {"type": "object"} | tool.parameters | {"x-guidance": _SPELLING}
            begin = json.dumps(f'{{"name": {json.dumps(tool.name)}, "arguments": ')
            rules.append(f'call{number}: {begin} arguments{number} "}}"')
            rules.append(f"arguments{number}: %json {json.dumps(schema)}")
        return self._matched(LLMatcher.grammar_from_lark("\n".join(rules) + "\n"), "tools")

    def _matched(self, grammar: str, param: str) -> Matched:
        with self._lock:
            tokenizer, known = self._tokenizer, self._known.get(grammar)
        if known is None:
            known = LLMatcher(tokenizer, grammar, log_level=0, limits=self._budget)
            # Some faults show only in the first step.
            if not known.is_error():
                known.compute_bitmask()
            if known.is_error():
                raise _broken(known.get_error(), param)
            with self._lock:
                self._known[grammar] = known
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return Matched(known.deep_copy(), (self._session.vocab_size + 31) // 32)


class _Vocabulary:
    """What llguidance wants to know of a tokenizer."""

    def __init__(self, session: Session) -> None:
        tokenizer, ids = session.tokenizer, range(session.vocab_size)
        self.bos_token_id = session.bos_id
        self.eos_token_id = session.stop_ids[0] if session.stop_ids else 0
        self.special_token_ids = [index for index in ids if not tokenizer.token_bytes(index)]
        # 0xff begins no UTF-8 character: no grammar can ask for such a token.
        self.tokens = [tokenizer.token_bytes(index) or b"\xff[%d]" % index for index in ids]
        self._encode = tokenizer.encode

    def __call__(self, text: bytes) -> list[int]:
        return self._encode(text.decode(errors="replace"))


def _compiled(schema: dict[str, Any], param: str) -> str:
    try:
        return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_SPELLING)  # type: ignore[arg-type]
    except ValueError as error:
        raise _broken(str(error), param) from None


def _broken(error: str, param: str) -> ApiError:
    reason = " ".join(error.split())[:200].encode("utf-8", "backslashreplace").decode()
    return invalid(f"{param}: {reason}; not a schema that can be followed here; simplify it", param, "invalid_schema")


def check_schema(schema: dict[str, Any], param: str) -> None:
    """Raises ApiError 400 for a schema that is too large, or reaches outside itself, before any work is spent on it."""
    waiting: list[tuple[Any, int]] = [(schema, 1)]
    values = size = 0
    while waiting:
        item, depth = waiting.pop()
        values += 1
        if isinstance(item, dict):
            for key, value in item.items():
                size += len(key) + 4
                _check_keyword(key, value, param)
                waiting.append((value, depth + 1))
        elif isinstance(item, list):
            waiting.extend((child, depth + 1) for child in item)
        else:
            size += len(item) + 2 if isinstance(item, str) else 8
        if depth > Limits.schema_depth or values > Limits.schema_values or size > Limits.schema_bytes:
            raise invalid(
                f"{param}: too large; at most {Limits.schema_bytes} characters, {Limits.schema_values} values and "
                f"{Limits.schema_depth} levels; simplify it",
                param,
                "schema_too_large",
            )


def _check_keyword(key: str, value: Any, param: str) -> None:
    reason = ""
    if key == "$ref" and isinstance(value, str) and not value.startswith("#"):
        reason = "references stay inside the schema"
    elif key in ("x-guidance", "$id", "$schema") and key != "$schema":
        reason = "not taken here"
    elif key == "pattern" and isinstance(value, str) and len(value) > Limits.pattern_characters:
        reason = f"a pattern has at most {Limits.pattern_characters} characters"
    elif key in _COUNTS and isinstance(value, int | float) and not 0 <= value <= Limits.schema_count:
        reason = f"0 to {Limits.schema_count}"
    if reason:
        raise invalid(f"{param}: {key} {shortened(value)}; {reason}; change it", param, "invalid_schema")
