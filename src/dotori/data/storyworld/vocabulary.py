"""The vocabulary knob: how many words of each kind, how many patterns, how long the stories."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from functools import lru_cache

from dotori.data.storyworld.patterns import PATTERNS, Pattern
from dotori.data.storyworld.words_people import PEOPLE, PLACES, SHOPS, Person, Place
from dotori.data.storyworld.words_qualities import (
    ACTIVITIES,
    COLORS,
    FEELINGS,
    JOBS,
    NUMBERS,
    QUALITIES,
    TIMES,
    WEATHER,
    Activity,
    Feeling,
    Time,
    Word,
)
from dotori.data.storyworld.words_things import ANIMALS, FOODS, OBJECTS, Thing
from dotori.errors import UserError

SHARES = {"tiny": 0.1, "small": 0.25, "medium": 0.55, "full": 1.0}
_ALL: tuple[Sized, ...] = (
    PEOPLE,
    PLACES,
    SHOPS,
    OBJECTS,
    FOODS,
    ANIMALS,
    TIMES,
    FEELINGS,
    COLORS,
    QUALITIES,
    WEATHER,
    JOBS,
    ACTIVITIES,
)
TOTAL = sum(map(len, _ALL)) + len(NUMBERS) + len(PATTERNS)
_LEAST_PATTERNS = 9


@dataclass(frozen=True)
class Vocabulary:
    """The words and patterns in use; `sentences` is the shortest and longest story."""

    people: tuple[Person, ...]
    places: tuple[Place, ...]
    shops: tuple[Place, ...]
    objects: tuple[Thing, ...]
    foods: tuple[Thing, ...]
    animals: tuple[Thing, ...]
    times: tuple[Time, ...]
    feelings: tuple[Feeling, ...]
    colors: tuple[Word, ...]
    qualities: tuple[Word, ...]
    weather: tuple[Word, ...]
    jobs: tuple[Word, ...]
    activities: tuple[Activity, ...]
    numbers: tuple[Word, ...]
    patterns: tuple[Pattern, ...]
    sentences: tuple[int, int]

    @property
    def content_words(self) -> int:
        """Words of all kinds, a verb for each pattern included."""
        lists: tuple[Sized, ...] = (
            self.people,
            self.places,
            self.shops,
            self.objects,
            self.foods,
            self.animals,
            self.times,
        )
        more: tuple[Sized, ...] = (
            self.feelings,
            self.colors,
            self.qualities,
            self.weather,
            self.jobs,
            self.activities,
            self.numbers,
        )
        return sum(map(len, lists + more)) + len(self.patterns)


@lru_cache(maxsize=16)
def vocabulary(knob: str | int) -> Vocabulary:
    """The vocabulary of a named setting (tiny, small, medium, full) or of about so many content words.

    Raises UserError for another name or a number below 60 or beyond the whole world.
    """
    if isinstance(knob, str):
        if knob not in SHARES:
            raise UserError(
                f"vocabulary: {knob!r}; one of {', '.join(SHARES)} or a number of words is needed; correct it"
            )
        share = SHARES[knob]
    elif 60 <= knob <= TOTAL:
        share = knob / TOTAL
    else:
        raise UserError(f"vocabulary: {knob}; from 60 to {TOTAL} words are there; correct it")

    def some(words: list, least: int) -> tuple:
        return tuple(words[: max(least, round(share * len(words)))])

    longest = 4 + round(8 * max(0.0, share - 0.1) / 0.9)
    return Vocabulary(
        people=some(PEOPLE, 8),
        places=some(PLACES, 6),
        shops=some(SHOPS, 2),
        objects=some(OBJECTS, 10),
        foods=some(FOODS, 6),
        animals=some(ANIMALS, 6),
        times=some(TIMES, 4),
        feelings=some(FEELINGS, 4),
        colors=some(COLORS, 4),
        qualities=some(QUALITIES, 4),
        weather=some(WEATHER, 4),
        jobs=some(JOBS, 4),
        activities=some(ACTIVITIES, 5),
        numbers=some(NUMBERS, 3),
        patterns=PATTERNS[: max(_LEAST_PATTERNS, round(share * len(PATTERNS)))],
        sentences=(3, longest),
    )
