"""JSON that strangers send: refused unless it is plain, shallow and small.

Beyond what JSON itself demands: no key twice in an object (two readers could disagree about it), no number that a
double or a 64-bit integer cannot hold, no lone surrogate, no NUL.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from dotori.serve.errors import ApiError, invalid, shortened
from dotori.serve.limits import Limits

_LARGEST = 1 << 64


def parse_json(data: bytes, limits: Limits) -> dict[str, Any]:
    """The object that `data` holds; raises ApiError 400 for anything else."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise _refused("begins with a byte order mark")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _refused(f"not UTF-8 (byte {error.start}: {error.reason})") from None
    values = sum(text.count(mark) for mark in ",[{")
    if values > limits.json_values:
        raise _refused(f"about {values} values; at most {limits.json_values} are read")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError:
        raise _refused(f"nested deeper than {limits.json_depth}") from None
    except ValueError as error:
        raise _refused(f"not valid JSON ({str(error)[:120]})") from None
    if not isinstance(value, dict):
        raise _refused(f"a {type(value).__name__}; an object is needed")
    _check(value, limits.json_depth)
    return value


def _refused(what: str) -> ApiError:
    return invalid(f"body: {what}; send one JSON object in UTF-8", code="invalid_json")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _refused(f"key {shortened(twice)} stands twice in an object")
    return found


def _constant(name: str) -> NoReturn:
    raise _refused(f"{name} is no JSON number")


def _check(value: Any, depth: int) -> None:
    """Walks all values without recursion."""
    waiting = [("", value, 0)]
    while waiting:
        place, item, level = waiting.pop()
        if isinstance(item, str):
            _check_text(place, item)
        elif isinstance(item, dict | list):
            if level >= depth:
                raise _refused(f"nested deeper than {depth}")
            if isinstance(item, dict):
                for key in item:
                    _check_text(place, key)
                waiting.extend((place or key, child, level + 1) for key, child in item.items())
            else:
                waiting.extend((place, child, level + 1) for child in item)
        elif isinstance(item, float):
            if not -1.7976931348623157e308 <= item <= 1.7976931348623157e308:
                raise _refused(f"{place or 'a number'}: beyond what a double holds")
        elif isinstance(item, int) and not -_LARGEST < item < _LARGEST:
            raise _refused(f"{place or 'a number'}: an integer beyond 64 bits")


def _check_text(place: str, text: str) -> None:
    if text.isascii():
        if "\0" in text:
            raise invalid(f"{place or 'key'}: holds a NUL character; text has none; remove it", place or None)
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(
            f"{place or 'key'}: holds a lone surrogate; valid Unicode is needed; encode the text anew", place or None
        ) from None
    if "\0" in text:
        raise invalid(f"{place or 'key'}: holds a NUL character; text has none; remove it", place or None)
