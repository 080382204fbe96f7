"""Where a loss is least along one setting (learning rate, batch), from a few runs: a parabola in its log2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dotori.errors import UserError

Losses = Mapping[float, Sequence[float | None]]

_SIDE = 2
_REACH = 0.03
_REACHES = (0.0, 0.05)
_BETWEEN = (2.5, 97.5)


@dataclass(frozen=True)
class Bowl:
    """The minimum: `x` is log2 of the setting there, `value` the loss, `curvature` the loss's second derivative by x.

    `is_edge`: nothing measured bounds the minimum on one side, so the true one may lie beyond x. Curvature is 0 where
    no parabola could be fitted.
    """

    x: float
    value: float
    curvature: float
    is_edge: bool


def fit_bowl(
    x: Sequence[float] | np.ndarray, y: Sequence[float | None] | np.ndarray, reach: float | None = None
) -> Bowl:
    """The bowl through losses y (m,) at x (m,), log2 of the setting; None, NaN and inf in y are diverged runs.

    The parabola takes the lowest point, its neighbours, and the next on either side where it is within `reach` of the
    lowest (default 3 % of it: a bowl is a parabola only near its minimum). A diverged run bounds the minimum as a high
    loss does, but no parabola goes through it. Where the lowest point is the first or last, or the parabola does not
    open upwards, the lowest point is the minimum. Raises UserError without a finite loss or for equal x.
    """
    place, losses = _sorted(x, y)
    finite = np.isfinite(losses)
    if not finite.any():
        raise UserError("bowl: no finite loss; at least 1 run must not diverge; lower the learning rates")
    best = int(np.where(finite, losses, np.inf).argmin())
    lowest = Bowl(float(place[best]), float(losses[best]), 0.0, best in (0, len(place) - 1))
    if lowest.is_edge or not finite[best - 1 : best + 2].all():
        return lowest
    limit = losses[best] + (_REACH * abs(losses[best]) if reach is None else reach)
    first, last = best - 1, best + 1
    if first > 0 and losses[first - 1] <= limit:
        first -= _SIDE - 1
    if last < len(place) - 1 and losses[last + 1] <= limit:
        last += _SIDE - 1
    for window in (slice(first, last + 1), slice(best - 1, best + 2)):
        found = _parabola(place[window], losses[window])
        if found is not None:
            return found
    return lowest


def bowl_interval(points: Losses, noise: float, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the minimum's x, for losses by seed at each x. `noise`: sd of a loss between seeds, its units.

    Resampling two or three seeds would halve their variance; each draw moves every mean by normal noise instead, of
    `noise` or the seeds' own spread where that is larger. Real bowls are steeper towards large rates, so that the
    minimum moves with the parabola's reach: each draw has its own, up to 5 %. Raises as fit_bowl, and for noise < 0.
    """
    low, high = np.percentile(_minima(points, noise, draws, seed), _BETWEEN)
    return float(low), float(high)


def drift(points: Mapping[int, Losses], noise: float, draws: int = 1000, seed: int = 0) -> dict[str, Any]:
    """How the minimum moves with width. `points`: width -> x -> losses by seed; `noise` as in bowl_interval.

    Returns "optimum" {width: x}, "interval" {width: [low, high]}, "is_edge" {width: bool}, "drift": the move from the
    narrowest to the widest in factors of 2 along the straight line through all widths' minima over log width,
    "drift_interval" [low, high], and "spread", the largest distance between two minima. Raises UserError for fewer than
    two widths, and as fit_bowl.
    """
    widths = sorted(points)
    if len(widths) < 2:
        raise UserError(f"drift: {len(widths)} widths; at least 2 are needed; train more widths")
    bowls = {width: fit_bowl(*_means(points[width])) for width in widths}
    drawn = np.array([_minima(points[width], noise, draws, seed + number) for number, width in enumerate(widths)])
    place = np.log2(widths)
    offset = place - place.mean()
    weights = offset * (place[-1] - place[0]) / (offset @ offset)
    optima = np.array([bowls[width].x for width in widths])
    return {
        "optimum": {width: bowls[width].x for width in widths},
        "interval": {w: [float(v) for v in np.percentile(row, _BETWEEN)] for w, row in zip(widths, drawn, strict=True)},
        "drift": float(weights @ optima),
        "drift_interval": [float(value) for value in np.percentile(weights @ drawn, _BETWEEN)],
        "spread": float(np.ptp(optima)),
        "is_edge": {width: bowls[width].is_edge for width in widths},
    }


def _sorted(x: Sequence[float] | np.ndarray, y: Sequence[float | None] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place, losses = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if place.shape != losses.shape or place.ndim != 1 or not len(place) or not np.isfinite(place).all():
        shapes = f"{place.shape}, {losses.shape}"
        raise UserError(f"bowl: shapes {shapes} of x, y; they must be equal, flat, not empty, x finite; correct them")
    order = place.argsort()
    if (np.diff(place[order]) <= 0).any():
        raise UserError(f"bowl: x {place[order].tolist()}; each value may occur once; give the mean over seeds")
    return place[order], losses[order]


def _parabola(place: np.ndarray, losses: np.ndarray) -> Bowl | None:
    """The least-squares parabola's minimum; None where it does not open upwards or its minimum is outside."""
    centre = place.mean()
    square, slope, level = np.polyfit(place - centre, losses, 2)
    if square <= 0:
        return None
    lowest = -slope / (2 * square)
    if not place[0] <= centre + lowest <= place[-1]:
        return None
    return Bowl(float(centre + lowest), float(level - square * lowest**2), float(2 * square), False)


def _means(points: Losses) -> tuple[np.ndarray, np.ndarray]:
    """x and the mean over seeds; NaN where any seed diverged: such a setting is not safe to use."""
    return np.array(sorted(points)), np.array([np.asarray(points[x], np.float64).mean() for x in sorted(points)])


def _minima(points: Losses, noise: float, draws: int, seed: int) -> np.ndarray:
    """The minimum's x in each draw, (draws,)."""
    if not (np.isfinite(noise) and noise >= 0) or draws < 1:
        raise UserError(f"bowl: noise {noise}, draws {draws}; noise must be >= 0 and draws >= 1; correct them")
    if any(len(losses) == 0 for losses in points.values()):
        raise UserError("bowl: a setting without losses; each needs at least 1; drop it")
    x, means = _means(points)
    fit_bowl(x, means)
    errors = np.array([_error(np.asarray(points[value], np.float64), noise) for value in x])
    generator = np.random.default_rng(seed)
    moved = means + errors * generator.standard_normal((draws, len(x)))
    reaches = np.nanmin(moved, 1) * generator.uniform(*_REACHES, draws)
    return np.array([fit_bowl(x, losses, reach).x for losses, reach in zip(moved, reaches, strict=True)])


def _error(losses: np.ndarray, noise: float) -> float:
    """Standard error of a mean over seeds."""
    own = float(losses.std(ddof=1)) if len(losses) > 1 and np.isfinite(losses).all() else 0.0
    return max(noise, own) / float(np.sqrt(len(losses)))
