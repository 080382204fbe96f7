"""Keeps evaluation texts out of training: a document that shares a long run of words with one is dropped.

A run is 13 words (GPT-3's choice, arXiv 2005.14165), 8 for Korean, whose words carry particles and endings and are
fewer. An evaluation text that is shorter counts as a whole, from half a run on: fewer words occur by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dotori.tokenizer.language import language_of

WORDS = {"en": 13, "ko": 8}
LEAST_WORDS = {"en": 7, "ko": 4}
_WORD = re.compile(r"\w+")


def _runs(words: Sequence[str], size: int) -> Iterator[int]:
    for start in range(len(words) - size + 1):
        yield hash(tuple(words[start : start + size]))


class Evaluations:
    """The word runs of the named evaluation texts; about 100 bytes a word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._known: set[int] = set()
        # Texts shorter than a run, by the hash of their first words.
        self._short: dict[int, set[tuple[str, ...]]] = {}
        for text in texts:
            words, language = _WORD.findall(text.lower()), language_of(text)
            if LEAST_WORDS[language] <= len(words) < WORDS[language]:
                begin = hash(tuple(words[: LEAST_WORDS[language]]))
                self._short.setdefault(begin, set()).add(tuple(words))
            self._known.update(_runs(words, WORDS[language]))

    def overlaps(self, text: str) -> bool:
        """Whether `text` shares a run of words with an evaluation, or holds a short one whole."""
        if not self._known and not self._short:
            return False
        words, language = _WORD.findall(text.lower()), language_of(text)
        if any(run in self._known for run in _runs(words, WORDS[language])):
            return True
        for start, begin in enumerate(_runs(words, LEAST_WORDS[language]) if self._short else ()):
            if any(short == tuple(words[start : start + len(short)]) for short in self._short.get(begin, ())):
                return True
        return False
