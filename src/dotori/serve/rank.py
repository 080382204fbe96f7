"""Ranking of passages for a question: BM25 over words, Hangul cut into pairs of syllables.

Korean words carry particles and endings: 도토리가, 도토리를 and 도토리 are three words but share 도토 and 토리.
Pairs find them without a dictionary; benchmarks/rank.py measures how much that gives. Han and kana have no blanks and
are cut the same way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import bm25s
import numpy as np

_CUT = "가-힣\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff"
# A pair, a syllable that stands alone, or a word of other letters and digits.
_TERMS = re.compile(rf"(?=([{_CUT}]{{2}}))[{_CUT}]|(?<![{_CUT}])([{_CUT}])|([^\W_{_CUT}]+)")
_WORDS = re.compile(r"[^\W_]+")
# Reciprocal rank fusion, Cormack et al. 2009: the constant of the paper.
_FUSION = 60


def terms(text: str, pairs: bool = True) -> list[str]:
    """The terms of a text in lower case and NFC; `pairs` False keeps whole words."""
    text = unicodedata.normalize("NFC", text).lower()
    if not pairs:
        return _WORDS.findall(text)
    return [pair or alone or word for pair, alone, word in _TERMS.findall(text)]


class Index:
    """BM25 over some documents."""

    def __init__(self, documents: Sequence[str], pairs: bool = True) -> None:
        """`pairs` as in `terms`."""
        self._pairs, self._count = pairs, len(documents)
        corpus = [terms(document, pairs) for document in documents]
        self._known = {term for document in corpus for term in document}
        self._index = bm25s.BM25(k1=1.2, b=0.75)
        if self._known:
            self._index.index(corpus, show_progress=False)

    def scores(self, query: str) -> np.ndarray:
        """float32 (documents,), larger is better, 0 where no term of the query occurs."""
        wanted = [term for term in dict.fromkeys(terms(query, self._pairs)) if term in self._known]
        if not wanted:
            return np.zeros(self._count, np.float32)
        return np.asarray(self._index.get_scores(wanted), np.float32)


def bm25_scores(query: str, documents: Sequence[str]) -> np.ndarray:
    """Scores float32 (documents,) of `documents` for one query."""
    return Index(documents).scores(query)


def best_first(scores: np.ndarray) -> np.ndarray:
    """Indices by falling score, the earlier among equals first."""
    return np.argsort(-scores, kind="stable")


def fused(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Reciprocal rank fusion of two rankings' scores: float32 (documents,)."""
    total = np.zeros(len(first), np.float64)
    for scores in (first, second):
        total[best_first(scores)] += 1 / (_FUSION + 1 + np.arange(len(scores)))
    return total.astype(np.float32)
