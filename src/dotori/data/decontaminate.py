"""Keeps evaluation texts out of training: a document that shares a long run of words with one is dropped.

A run is 13 words (GPT-3's choice, arXiv 2005.14165), 8 for Korean, whose words carry particles and endings and are
fewer. An evaluation text that is shorter counts as a whole, from 8 words on (GPT-3's least; Korean 6), unless the
evaluation repeats it: prompts and templates are no secrets.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dotori.tokenizer.language import language_of

WORDS = {"en": 13, "ko": 8}
LEAST_WORDS = {"en": 8, "ko": 6}
# By so many words short texts are looked up, whatever the language of the document around them.
_PREFIX = min(LEAST_WORDS.values())
_WORD = re.compile(r"\w+")


def _runs(words: Sequence[str], size: int) -> Iterator[int]:
    for start in range(len(words) - size + 1):
        yield hash(tuple(words[start : start + size]))


class Evaluations:
    """The word runs of the named evaluation texts; about 100 bytes a word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._known: set[int] = set()
        short: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            words, language = tuple(_WORD.findall(text.lower())), language_of(text)
            if LEAST_WORDS[language] <= len(words) < WORDS[language]:
                short[words] += 1
            self._known.update(_runs(words, WORDS[language]))
        self._short: dict[int, list[tuple[str, ...]]] = {}
        for words, count in short.items():
            if count == 1:
                self._short.setdefault(hash(words[:_PREFIX]), []).append(words)

    def overlaps(self, text: str) -> bool:
        """Whether `text` shares a run of words with an evaluation, or holds a short one whole."""
        if not self._known and not self._short:
            return False
        words = tuple(_WORD.findall(text.lower()))
        if any(run in self._known for run in _runs(words, WORDS[language_of(text)])):
            return True
        for start, begin in enumerate(_runs(words, _PREFIX) if self._short else ()):
            if any(short == words[start : start + len(short)] for short in self._short.get(begin, ())):
                return True
        return False
