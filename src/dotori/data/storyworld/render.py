"""Templates of patterns.py to sentences, given who plays which role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from dotori.data.storyworld.particles import with_particle
from dotori.data.storyworld.words_qualities import Activity, Feeling
from dotori.data.storyworld.words_things import Thing

Roles = Mapping[str, Any]
_KO = re.compile(r"\{(cause|kf|[a-z])(?:\.([a-z]+))?([^}a-z.]*)\}|<([a-z]+)((?:\|[^|>]*)+)>")
_EN = re.compile(r"\{([+=*@]?)(cause|[a-z])(?:\.([a-z]+))?\}")
_AN = re.compile(r"(?:[aeio]|u(?!ni|ku))")


@cache
def _parts(template: str, korean: bool) -> tuple[tuple, ...]:
    """A template as literals (text,) and slots (groups of the match)."""
    found, at = [], 0
    for match in (_KO if korean else _EN).finditer(template):
        found += [(template[at : match.start()],), match.groups()]
        at = match.end()
    return tuple(part for part in (*found, (template[at:],)) if part != ("",))


@cache
def roles_of(template: str) -> frozenset[str]:
    """The roles that a Korean template tells of."""
    slots = [part[0] for part in _parts(template, True) if len(part) > 1 and part[0]]
    return frozenset(letter for role in slots for letter in ([role] if role == "cause" else role))


def is_honored(entity: Any) -> bool:
    """Whether a person is honored, or a food drunk, which takes another verb just as well."""
    return entity.counter == "잔" if isinstance(entity, Thing) else entity.honored


def korean(template: str, roles: Roles) -> str:
    """The Korean sentence of a template."""
    return "".join(p[0] if len(p) == 1 else _ko_slot(p, roles) for p in _parts(template, True))


def _ko_slot(part: tuple, roles: Roles) -> str:
    role, attribute, particle, choosers, forms = part
    if choosers:
        index = sum(is_honored(roles[chooser]) << i for i, chooser in enumerate(choosers))
        return forms.split("|")[1:][index]
    if role == "kf":
        food, number = roles["f"], roles["k"]
        return with_particle(f"{food.ko} {number.ko} {food.counter}", particle) if particle else food.ko
    entity = roles[role]
    if role == "cause":
        return korean(entity.ko, roles)
    if attribute == "counter":
        return entity.counter
    if attribute != "plain" and isinstance(entity, Activity | Feeling) and roles["p"].honored:
        return entity.honored
    return with_particle(entity.ko, particle, getattr(entity, "honored", False) is True) if particle else entity.ko


def english(template: str, roles: Roles) -> str:
    """The English sentence of a template, its first letter a capital."""
    text = "".join(p[0] if len(p) == 1 else _en_slot(p, roles) for p in _parts(template, False))
    return text[0].upper() + text[1:]


def english_phrase(template: str, roles: Roles) -> str:
    """Like english(), without the capital: for answers and clauses."""
    return "".join(p[0] if len(p) == 1 else _en_slot(p, roles) for p in _parts(template, False))


def _en_slot(part: tuple, roles: Roles) -> str:
    sign, role, attribute = part
    entity = roles[role]
    if role == "cause":
        return english_phrase(entity.en, roles)
    if attribute == "he":
        return "she" if entity.she else "he"
    if attribute == "his":
        return "her" if entity.she else "his"
    if attribute == "bare":
        return entity.en.removeprefix("the ")
    if sign == "+":
        return f"an {entity.en}" if _AN.match(entity.en) else f"a {entity.en}"
    if sign == "=":
        return f"the {entity.en}"
    if sign == "*":
        return entity.plural
    return f"{entity.prep} {entity.en}" if sign == "@" else entity.en
