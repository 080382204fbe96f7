"""How sure a figure is: 95 % intervals for shares, ratios of sums, and figures computed from summed counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Interval = tuple[float, float]
_Z = 1.959964


def share_interval(successes: int, total: int) -> Interval | None:
    """Wilson's interval of a share (https://doi.org/10.1080/01621459.1927.10502953); None without trials."""
    if total == 0:
        return None
    share, z2 = successes / total, _Z * _Z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval | None:
    """The interval of sum(numerators) / sum(denominators) over independent items; None for fewer than two.

    First-order (delta-method) standard error of a ratio estimator, Cochran, Sampling Techniques, section 6.4.
    """
    count = len(numerators)
    if count < 2 or sum(denominators) == 0:
        return None
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    ratio = top.sum() / bottom.sum()
    error = math.sqrt(count / (count - 1) * float(((top - ratio * bottom) ** 2).sum())) / float(bottom.sum())
    return float(ratio - _Z * error), float(ratio + _Z * error)


def bootstrap_interval(
    rows: np.ndarray, figure: Callable[[np.ndarray], float], resamples: int = 500, seed: int = 0
) -> Interval | None:
    """Percentile bootstrap of `figure(summed rows)` for count rows (items, k); None for fewer than two items."""
    if len(rows) < 2:
        return None
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=resamples)
    values = [figure(sums) for sums in weights @ np.asarray(rows, np.float64)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
