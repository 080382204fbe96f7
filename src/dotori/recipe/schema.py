"""A recipe: one TOML file that names stages, their settings and which folder feeds which.

    name = "demo"            # shown in reports
    seed = 1                 # the seed of every stage that does not set its own

    [tokenizer]              # a table per stage; its folder is DIR/tokenizer
    stage = "tokenizer"      # the kind: a row of stages.STAGES
    vocab_size = 2048        # everything else is a field of that kind's settings class

    [data]
    stage = "data"
    tokenizer = "tokenizer"  # an input: another table of this recipe, or the path of a folder made before

`${table.key}` inside a string is that key's value, and alone it is the value itself, tables included.
`--set table.key=value` replaces a value before anything is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dotori.config import build, interpolate, nearest, override, read_toml
from dotori.errors import UserError
from dotori.recipe.stages import STAGES, StageKind

_REFERENCE = re.compile(r"\$\{([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\}")


@dataclass(frozen=True)
class Table:
    """One stage of a recipe. `inputs` maps an input's name to table names or folders outside the run."""

    name: str
    kind: str
    inputs: dict[str, tuple[str | Path, ...]]
    settings: Any

    @property
    def parents(self) -> list[str]:
        """Names of the tables that feed this one, without repeats."""
        return list(dict.fromkeys(p for places in self.inputs.values() for p in places if isinstance(p, str)))


@dataclass(frozen=True)
class Recipe:
    """A checked recipe; `tables` stand in an order in which each comes after those that feed it."""

    name: str
    seed: int
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """The table of that name; raises UserError with the nearest when there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise UserError(f"recipe {self.name}: no stage {name!r}; {nearest(name, [t.name for t in self.tables])}")

    def only(self, kind: str, name: str | None) -> Table:
        """The table `name`, or the only one of a kind; raises UserError when it is of another kind or must be named."""
        found = [table for table in self.tables if table.kind == kind]
        if name is not None:
            table = self.table(name)
            if table.kind != kind:
                raise UserError(
                    f"recipe {self.name}: stage {name!r} is of kind {table.kind}; one of kind {kind} is needed"
                )
            return table
        if len(found) != 1:
            names = ", ".join(table.name for table in found) or "none"
            raise UserError(f"recipe {self.name}: stages of kind {kind}: {names}; one is needed; name it with --stage")
        return found[0]


def read_recipe(path: Path, assignments: Sequence[str] = ()) -> Recipe:
    """Reads, overrides and checks a recipe; raises UserError naming the key, the value and the fix."""
    return check_recipe(read_toml(path), assignments, path.name)


def check_recipe(mapping: Mapping[str, Any], assignments: Sequence[str] = (), where: str = "recipe") -> Recipe:
    """Checks a recipe given as a mapping; see read_recipe."""
    mapping = interpolate(_shared(override(mapping, list(assignments)), where), where)
    tables = {key: value for key, value in mapping.items() if isinstance(value, Mapping)}
    for key in mapping:
        if key not in tables and key not in ("name", "seed"):
            raise UserError(f"{where}: unknown key {key!r}; {nearest(key, ['name', 'seed', *tables])}")
    name, seed = mapping.get("name", where.removesuffix(".toml")), mapping.get("seed", 1)
    if not isinstance(name, str) or not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise UserError(f"{where}: name {name!r}, seed {seed!r}; a string and a whole number >= 0; correct them")
    if not tables:
        raise UserError(f"{where}: no stage; a recipe has one table per stage, each with its `stage = ...`; add one")
    return Recipe(name, seed, _ordered([_table(n, v, list(tables), seed, where) for n, v in tables.items()], where))


def _shared(mapping: dict[str, Any], where: str) -> dict[str, Any]:
    """Replaces a value that is `${table.key}` and nothing else by that table's value, whatever its type."""

    def value_of(value: Any) -> Any:
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        table, key = match.groups()
        if not isinstance(mapping.get(table), Mapping) or key not in mapping[table]:
            raise UserError(f"{where}: {value} names nothing; it must be a key of this recipe; correct it")
        return mapping[table][key]

    return {
        name: {key: value_of(value) for key, value in table.items()} if isinstance(table, Mapping) else table
        for name, table in mapping.items()
    }


def _table(name: str, mapping: Mapping[str, Any], tables: list[str], seed: int, where: str) -> Table:
    where = f"{where} [{name}]"
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise UserError(f"{where}: names a folder; letters, digits, - and _ only; rename it")
    kind = mapping.get("stage")
    if not isinstance(kind, str) or kind not in STAGES:
        raise UserError(f"{where}: stage got {kind!r}; {nearest(str(kind), list(STAGES))}")
    spec = STAGES[kind]
    known = {one.name for one in spec.inputs}
    inputs = {key: _places(mapping[key], tables, f"{where}: {key}") for key in mapping if key in known}
    for one in spec.inputs:
        if one.required and not inputs.get(one.name):
            raise UserError(f"{where}: input {one.name!r} is missing; it names {one.what}; add it")
        if not one.many and len(inputs.get(one.name, ())) > 1:
            raise UserError(f"{where}: {one.name} got a list; one {one.what} is needed; name one")
    given = {key: value for key, value in mapping.items() if key != "stage" and key not in known}
    if "seed" not in given and any(field.name == "seed" for field in fields(spec.settings)):
        given["seed"] = seed
    return Table(name, kind, inputs, _settings(spec, given, where, known))


def _settings(spec: StageKind, given: dict[str, Any], where: str, inputs: set[str]) -> Any:
    names = [field.name for field in fields(spec.settings)]
    for key in given:
        if key not in names:
            raise UserError(f"{where}: unknown key {key!r}; {nearest(key, [*names, *inputs, 'stage'])}")
    try:
        return build(spec.settings, given, where)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def _places(value: Any, tables: list[str], where: str) -> tuple[str | Path, ...]:
    """Table names as str, folders outside the run as Path."""
    values = value if isinstance(value, list) else [value]
    places: list[str | Path] = []
    for item in values:
        if isinstance(item, str) and item in tables:
            places.append(item)
        elif isinstance(item, str) and item and Path(item).exists():
            places.append(Path(item).absolute())
        else:
            raise UserError(
                f"{where} got {item!r}; a stage of this recipe or an existing folder; {nearest(str(item), tables)}"
            )
    return tuple(places)


def _ordered(tables: list[Table], where: str) -> tuple[Table, ...]:
    """Inputs before what they feed, otherwise as written; a table that takes everything comes last."""
    tables = [_with_everything(table, tables) if STAGES[table.kind].takes_all else table for table in tables]
    done: dict[str, Table] = {}
    left = list(tables)
    while left:
        ready = next((table for table in left if all(parent in done for parent in table.parents)), None)
        if ready is None:
            raise UserError(f"{where}: {', '.join(t.name for t in left)} feed each other in a circle; break it")
        done[ready.name] = ready
        left.remove(ready)
    return tuple(done.values())


def _with_everything(table: Table, tables: list[Table]) -> Table:
    others = tuple(other.name for other in tables if not STAGES[other.kind].takes_all)
    return replace(table, inputs={"stages": others})


def settings_json(settings: Any) -> dict[str, Any]:
    """A settings object as JSON types, every default written out."""
    return TypeAdapter(type(settings)).dump_python(settings, mode="json")


def to_toml(recipe: Recipe) -> str:
    """The recipe with every setting written out: a TOML text that makes the same run again."""
    lines = [f"name = {_value(recipe.name)}", f"seed = {recipe.seed}"]
    for table in recipe.tables:
        lines += ["", f"[{table.name}]", f"stage = {_value(table.kind)}"]
        for name, places in table.inputs.items():
            if not STAGES[table.kind].takes_all:
                words = [str(place) for place in places]
                lines.append(f"{name} = {_value(words if len(words) > 1 else words[0])}")
        lines += [f"{k} = {_value(v)}" for k, v in settings_json(table.settings).items() if v is not None]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")
