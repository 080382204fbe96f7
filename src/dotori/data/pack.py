"""Whole conversations into rows of a fixed length: best fit, longest first."""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np


def pack(lengths: np.ndarray, capacity: int) -> tuple[list[list[int]], int]:
    """Rows of document numbers whose lengths sum to at most `capacity`, and how many documents were cut to fit.

    Longest first, each into the fullest row that still takes it; a document longer than a row has one to itself, cut.
    A pure function of its arguments.
    """
    rows: list[list[int]] = []
    spaces: list[tuple[int, int]] = []  # (free, row), sorted
    cut = 0
    for document in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[document])
        if length > capacity:
            cut += 1
            length = capacity
        at = bisect_left(spaces, (length, -1))
        if at < len(spaces):
            free, row = spaces.pop(at)
            rows[row].append(document)
        else:
            free, row = capacity, len(rows)
            rows.append([document])
        if free > length:
            insort(spaces, (free - length, row))
    return rows, cut
