"""Keeps evaluation texts out of training: a document that shares a long run of words with one is dropped.

A run is 13 words (GPT-3's choice, arXiv 2005.14165), 8 for Korean, whose words carry particles and endings and are
fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dotori.tokenizer.language import language_of

WORDS = {"en": 13, "ko": 8}
_WORD = re.compile(r"\w+")


def _runs(text: str) -> Iterator[int]:
    words = _WORD.findall(text.lower())
    size = WORDS[language_of(text)]
    for start in range(len(words) - size + 1):
        yield hash(tuple(words[start : start + size]))


class Evaluations:
    """The word runs of the named evaluation texts; about 100 bytes a word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._known = {run for text in texts for run in _runs(text)}

    def overlaps(self, text: str) -> bool:
        """Whether `text` shares a run of words with an evaluation."""
        return bool(self._known) and any(run in self._known for run in _runs(text))
