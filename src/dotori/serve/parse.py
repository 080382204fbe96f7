"""A request's JSON to its checked shape; what is wrong with it becomes one 400 that names the field."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from dotori.config import nearest
from dotori.serve.errors import ApiError, invalid, shortened
from dotori.serve.limits import Limits
from dotori.serve.schema import field_names

T = TypeVar("T")

_UNSUPPORTED = frozenset(
    ("presence_penalty", "frequency_penalty", "logit_bias", "best_of", "echo", "suffix", "store", "audio", "background")
    + ("prediction", "moderation", "functions", "function_call", "modalities", "web_search_options", "conversation")
    + ("prompt_cache_options", "previous_response_id", "prompt", "max_tool_calls", "reasoning_effort", "verbosity")
    + ("background_options", "access_programs", "context_management", "image", "include", "truncation", "reasoning")
)
# Messages show the path of a field, not which member of a union was tried.
_MEMBERS = {"system", "developer", "user", "assistant", "tool", "text", "message", "function_call"}
_MEMBERS |= {"function_call_output", "json_object", "json_schema"}


@functools.cache
def _adapter(shape: Any) -> TypeAdapter:
    return TypeAdapter(shape)


def parse_request(shape: type[T], value: dict[str, Any]) -> T:
    """`value` as a `shape`; raises ApiError 400."""
    known = field_names(shape)
    for name in value:
        if name not in known:
            raise invalid(
                f"{shortened(name)}: unknown field; {nearest(name[:64], known)}; correct or remove it",
                name[:64],
                "unknown_parameter",
            )
    try:
        return _adapter(cast(Any, shape)).validate_python(value)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> ApiError:
    # Of a union's members the one that got furthest is the one that was meant.
    item = max(error.errors(include_url=False), key=lambda found: len(found["loc"]))
    place, name = _place(item["loc"]), str(item["loc"][0])
    if item["type"] == "missing":
        return invalid(f"{place}: missing; it is required; add it", place, "missing_required_parameter")
    if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return invalid(f"{place}: unknown field; remove it", place, "unknown_parameter")
    rule = item["msg"][0].lower() + item["msg"][1:]
    value = shortened(item["input"])
    if name in _UNSUPPORTED and len(item["loc"]) <= 2:
        return invalid(f"{name}: {value}; not supported here ({rule}); leave it out", name, "unsupported_value")
    return invalid(f"{place}: {value}; {rule[:200]}; correct it", place)


def _place(loc: tuple[int | str, ...]) -> str:
    """`messages[0].content` of a pydantic location."""
    text, after_index = "", False
    for part in loc:
        if isinstance(part, int):
            text, after_index = f"{text}[{part}]", True
            continue
        is_member = (after_index and part in _MEMBERS) or not re.fullmatch(r"\w+", part) or part in ("str", "dict")
        if not is_member:
            text = f"{text}.{part}" if text else part
        after_index = False
    return text[:200]


def clean(text: str, place: str, limits: Limits) -> str:
    """`text` in NFC, as all our training data is. Raises ApiError for long runs of combining marks.

    Sorting such runs takes quadratic time; Unicode's own rule for streams (UAX 15, D4) allows 30.
    """
    if text.isascii():
        return text
    if _marks(limits.combining_marks).search(text):
        raise invalid(
            f"{place}: more than {limits.combining_marks} combining marks in a row; no script needs that; "
            "correct the text",
            place,
        )
    return unicodedata.normalize("NFC", text)


@functools.cache
def _marks(most: int) -> re.Pattern[str]:
    """Runs of more than `most` characters that normalization sorts."""
    codes = [code for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
    ranges, start = [], codes[0]
    for code, after in zip(codes, [*codes[1:], 0], strict=True):
        if after != code + 1:
            ranges.append(f"{re.escape(chr(start))}-{re.escape(chr(code))}")
            start = after
    return re.compile(f"[{''.join(ranges)}]{{{most + 1}}}")
