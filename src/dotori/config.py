"""Settings: TOML to frozen dataclasses, checked whole before any work starts.

A settings class is declared with `@settings`; unknown keys, wrong types and impossible values end in one UserError that
names the key, the value and the nearest valid name.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from dotori.errors import UserError

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Class decorator: a frozen keyword-only dataclass that refuses unknown keys and does not convert types loosely."""
    strict = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return partial(pydantic_dataclass, frozen=True, kw_only=True, config=strict)()(cls)  # type: ignore[return-value]


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file; raises UserError naming the line when it cannot."""
    try:
        if path.stat().st_size > 1 << 20:
            raise UserError(
                f"{path}: {path.stat().st_size} bytes; a recipe or profile is at most 1 MiB; check the path"
            )
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give the path of a TOML file, for example recipes/demo.toml") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory; give the path of a TOML file inside it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML ({error}); correct that line") from None


def nearest(name: str, known: list[str]) -> str:
    """A hint naming the closest known name, or all of them when none is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def build(cls: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Makes a settings object from a mapping; `where` is the path shown in errors, such as `recipe.toml [train]`."""
    try:
        return TypeAdapter(cls).validate_python(dict(mapping))
    except ValidationError as error:
        raise UserError(_explain(cls, error, where)) from None


def _explain(cls: type, error: ValidationError, where: str) -> str:
    problems = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"])
        if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            problems.append(
                f"{where}: unknown key {place!r}; {nearest(str(item['loc'][-1]), _names(cls, item['loc'][:-1]))}"
            )
        elif item["type"] == "missing":
            problems.append(f"{where}: {place!r} is missing; it is required; add it")
        elif isinstance(item.get("ctx", {}).get("error"), UserError):
            problems.append(f"{where}: {item['ctx']['error']}")
        else:
            rule = item["msg"].removeprefix("Value error, ")
            problems.append(f"{where}: {place or 'settings'} got {item['input']!r}; {rule}; correct it")
    return "\n".join(problems)


def _names(cls: type, path: tuple) -> list[str]:
    for part in path:
        if not is_dataclass(cls):
            break
        found = [f.type for f in fields(cls) if f.name == part]
        if not found or not isinstance(found[0], type):
            break
        cls = found[0]
    return [f.name for f in fields(cls)] if is_dataclass(cls) else []


def override(mapping: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Applies `table.key=value` assignments (value in TOML syntax, a bare word is a string) to a nested mapping."""
    result = _copy(mapping)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise UserError(f"--set {assignment}: must read table.key=value, for example train.lr=3e-3; correct it")
        try:
            value = tomllib.loads(f"v = {text.strip()}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        table = result
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise UserError(f"--set {assignment}: {key!r} is a value, not a table; name a key inside a table")
        if len(keys) > 1 and keys[0] not in mapping:
            raise UserError(f"--set {assignment}: unknown table {keys[0]!r}; {nearest(keys[0], list(mapping))}")
        table[keys[-1]] = value
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


_REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.-]+)\}")


def interpolate(mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Replaces `${table.key}` inside strings by that value of the same mapping; raises UserError for an unknown one."""

    def look_up(match: re.Match) -> str:
        value: Any = mapping
        for key in match[1].split("."):
            if not isinstance(value, Mapping) or key not in value:
                raise UserError(f"{where}: {match[0]} names nothing; it must be a key of this recipe; correct it")
            value = value[key]
        return str(value)

    def walk(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return _REFERENCE.sub(look_up, value) if isinstance(value, str) else value

    return walk(mapping)


_DURATION = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_duration(text: str) -> float:
    """Seconds from `90s`, `9m`, `1.5h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not match:
        raise UserError(f"duration: {text!r}; a number followed by s, m or h is needed; write for example 9m")
    return float(match[1]) * _DURATION[match[2]]


def parse_size(text: str) -> int:
    """Bytes from `750MB` (10^6), `1GiB` (2^30), `4096B`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|[kMG]B|[KMG]iB)", text.strip())
    if not match:
        raise UserError(
            f"size: {text!r}; a number followed by B, kB, MB, GB, KiB, MiB or GiB is needed; write for example 1GiB"
        )
    return int(float(match[1]) * _SIZE[match[2]])
