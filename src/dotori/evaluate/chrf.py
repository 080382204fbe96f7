"""chrF2, the character n-gram F-score of a translation (https://aclanthology.org/W15-3049).

Character n-grams of order 1 to 6 without blanks, case kept, beta 2, precision and recall averaged over the orders that
both sides have: sacrebleu's default, signature `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

ORDER = 6
_BETA_SQUARED = 4.0


def chrf_counts(hypothesis: str, reference: str) -> np.ndarray:
    """(18,) int64: for each order the n-grams of the hypothesis, of the reference, and those in common."""
    left, right = "".join(hypothesis.split()), "".join(reference.split())
    counts = np.zeros(3 * ORDER, np.int64)
    for order in range(1, ORDER + 1):
        ours, theirs = (Counter(text[i : i + order] for i in range(len(text) - order + 1)) for text in (left, right))
        # An order that the reference is too short for says nothing about the hypothesis.
        tried = ours.total() if theirs else 0
        counts[3 * order - 3 : 3 * order] = tried, theirs.total(), (ours & theirs).total()
    return counts


def chrf_of_counts(counts: np.ndarray) -> float:
    """chrF2 in 0 to 100 from counts (18,) summed over sentences."""
    ours, theirs, common = counts.reshape(ORDER, 3).T.astype(np.float64)
    usable = (ours > 0) & (theirs > 0)
    if not usable.any():
        return 0.0
    precision = float((common[usable] / ours[usable]).mean())
    recall = float((common[usable] / theirs[usable]).mean())
    if precision + recall == 0:
        return 0.0
    return 100 * (1 + _BETA_SQUARED) * precision * recall / (_BETA_SQUARED * precision + recall)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 in 0 to 100; 0 for no sentences."""
    rows = [chrf_counts(ours, theirs) for ours, theirs in zip(hypotheses, references, strict=True)]
    return chrf_of_counts(np.sum(rows, axis=0)) if rows else 0.0
