"""Plots: which patterns follow each other and who plays which role. A story is a plot told in two languages.

A pattern is taken when what it needs has happened and what bars it has not, so nobody loses what was never found. The
plot, told as pattern names and words, is hashed, and the hash alone decides its split: no training set of any seed or
size holds a plot of the test split.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from dotori.data.storyworld.patterns import BECAUSE, FEEL, FEEL_QUESTION, WHY_QUESTION, Pattern, Question
from dotori.data.storyworld.render import english, english_phrase, korean, roles_of
from dotori.data.storyworld.vocabulary import Vocabulary
from dotori.errors import UserError

SPLITS = ("train", "validation", "test")
# Of 20 plots 18 are for training, one for validation, one for tests.
_BUCKETS = 20
# Three sentences hold so few plots that a million stories of the full world would repeat one or two: there a story
# takes only short plots of its own class, which its index decides, or draws again. Small worlds repeat anyway.
_SHORT, _CLASSES, _LARGE = 3, 4, 400


@dataclass(frozen=True)
class Event:
    """One sentence of a story: a pattern, and the answers it gives."""

    pattern: Pattern
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Answered:
    """A question of a story in both languages with its true answer."""

    ko: str
    en: str
    answer_ko: str
    answer_en: str


@dataclass(frozen=True)
class Story:
    """A plot and its telling: sentences in both languages, in step."""

    plot: str
    roles: dict[str, Any]
    events: tuple[Event, ...]
    ko: tuple[str, ...]
    en: tuple[str, ...]

    @property
    def feeling(self) -> Any:
        """What the story ends with feeling, None when nobody is said to feel anything."""
        return self.roles["h"] if self.events[-1].pattern in (FEEL, BECAUSE) else None

    def answers(self) -> list[Answered]:
        """Every question the story answers, with one true answer each."""
        found: dict[str, Answered] = {}
        doubtful = set()
        for event in self.events:
            for q in event.questions:
                one = Answered(
                    korean(q.ko, self.roles),
                    english(q.en, self.roles),
                    korean(q.answer_ko, self.roles),
                    english_phrase(q.answer_en, self.roles),
                )
                for text in (one.ko, one.en):
                    if text in found and found[text] != one:
                        doubtful.add(text)
                    found[text] = one
        unique = dict.fromkeys(found.values())
        return [one for one in unique if one.ko not in doubtful and one.en not in doubtful]


@lru_cache(maxsize=128)
def _flags(pattern: Pattern) -> tuple[frozenset[str], ...]:
    return pattern.split_flags()


def split_of_plot(plot: str) -> str:
    """The split of a plot, from its hash alone."""
    return {0: "test", 1: "validation"}.get(_hash(plot) % _BUCKETS, "train")


def _hash(plot: str) -> int:
    return int.from_bytes(hashlib.blake2b(plot.encode(), digest_size=8).digest(), "little")


def story_at(seed: int, index: int, vocabulary: Vocabulary, split: str) -> tuple[Story, Random]:
    """Story `index` of a split, and the generator that goes on from it: a pure function of the arguments."""
    if split not in SPLITS:
        raise UserError(f"split: {split!r}; one of {', '.join(SPLITS)} is needed; correct it")
    generator = Random(f"{seed}/{index}/{split}")
    is_large = vocabulary.content_words >= _LARGE
    while True:
        events, roles, plot = _plot(generator, vocabulary)
        is_anothers = len(events) == _SHORT and is_large and _hash(plot) // _BUCKETS % _CLASSES != index % _CLASSES
        if split_of_plot(plot) == split and not is_anothers:
            ko = tuple(korean(event.pattern.ko, roles) for event in events)
            en = tuple(english(event.pattern.en, roles) for event in events)
            return Story(plot, roles, tuple(events), ko, en), generator


def _plot(generator: Random, v: Vocabulary) -> tuple[list[Event], dict[str, Any], str]:
    roles = _cast(generator, v)
    length = generator.randint(*v.sentences)
    state: set[str] = set()
    events: list[Event] = []
    causes = []
    while len(events) < length - 1:
        fitting = [p for p in v.patterns if _fits(p, state, events)]
        if not fitting:
            break
        pattern = generator.choice(fitting)
        _, _, gives, drops = _flags(pattern)
        state = (state | gives) - drops
        events.append(Event(pattern, pattern.questions))
        if pattern.cause is not None:
            causes.append(pattern.cause)
    events.append(_ending(generator, v, roles, causes))
    told = frozenset().union(*(roles_of(event.pattern.ko) for event in events))
    words = ",".join(f"{role}={roles[role].en}" for role in sorted(told - {"cause"}))
    cause = roles["cause"].en if "cause" in roles else ""
    return events, roles, f"{' '.join(event.pattern.id for event in events)} {words} {cause}"


def _fits(pattern: Pattern, state: set[str], events: list[Event]) -> bool:
    needs, bars, _, _ = _flags(pattern)
    return needs <= state and not (bars & state) and all(event.pattern is not pattern for event in events)


def _ending(generator: Random, v: Vocabulary, roles: dict[str, Any], causes: list) -> Event:
    cause = generator.choice(causes) if causes and generator.random() < 0.75 else None
    feelings = v.feelings if cause is None else [h for h in v.feelings if h.good == cause.good]
    roles["h"] = generator.choice(feelings)
    if cause is None:
        return Event(FEEL, (FEEL_QUESTION,))
    roles["cause"] = cause
    return Event(BECAUSE, (FEEL_QUESTION, WHY_QUESTION))


def _cast(generator: Random, v: Vocabulary) -> dict[str, Any]:
    p, q = generator.sample(v.people, 2)
    a, b = generator.sample(v.places, 2)
    o, x = generator.sample(v.objects, 2)
    pick = generator.choice
    return {
        **{"p": p, "q": q, "a": a, "b": b, "s": pick(v.shops), "o": o, "x": x, "f": pick(v.foods)},
        **{"n": pick(v.animals), "m": pick(v.activities), "c": pick(v.colors), "u": pick(v.qualities)},
        **{"k": pick(v.numbers), "w": pick(v.weather), "j": pick(v.jobs), "t": pick(v.times)},
    }
