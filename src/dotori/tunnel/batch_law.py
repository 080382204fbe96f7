"""The batch that reaches a loss with the fewest tokens, and how it grows as the loss falls: batch = a / loss^b.

MiniCPM (2404.06395), section 3.2: their constants belong to their tokenizer and data, so a and b are fitted anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from dotori.errors import UserError
from dotori.tunnel.bowl import fit_bowl
from dotori.tunnel.law_solver import whitening

LEAST_POINTS = 3
# Equal-loss curves are parabolas in log tokens as far as twice the fewest tokens.
_REACH = float(np.log(2))


def optimum_batch(tokens_needed: Mapping[float, float | None]) -> tuple[float, bool]:
    """(batch that needs the fewest tokens to one loss, whether the true one may lie beyond), from batch -> tokens.

    The minimum of the parabola of log tokens in log2 batch: logs, because batches at the ends need many times more. A
    batch that never reached the loss has None or NaN. Raises UserError for values not above 0, and without any tokens.
    """
    batches, tokens = np.array(list(tokens_needed), np.float64), np.array(list(tokens_needed.values()), np.float64)
    _check_positive("batch", batches)
    _check_positive("tokens", tokens[np.isfinite(tokens)])
    if not np.isfinite(tokens).any():
        raise UserError("optimum batch: no batch reached the loss; at least 1 must; raise the loss or train longer")
    bowl = fit_bowl(np.log2(batches), np.log(tokens), _REACH)
    return float(2**bowl.x), bowl.is_edge


def fit_batch_law(
    points: Sequence[tuple[float, float]],
    groups: Sequence[Hashable] | None = None,
    draws: int = 20000,
    seed: int = 0,
) -> dict[str, Any]:
    """The law through (loss, batch in tokens), least squares in logs: "a", "b", "r2", "b_interval" [low, high], 95 %.

    `groups`, one a point: minima read off the same runs (one model size) err together, so points of one group are taken
    to correlate by 0.5. The interval is Student's: resampling three to ten points would give too narrow a one. Raises
    UserError for fewer than 3 points or 2 losses, or values not above 0.
    """
    table = np.asarray(points, np.float64).reshape(-1, 2)
    if len(table) < LEAST_POINTS:
        raise UserError(f"batch law: {len(table)} points; at least {LEAST_POINTS} are needed; measure more losses")
    _check_positive("loss", table[:, 0])
    _check_positive("batch", table[:, 1])
    x, y = np.log(table).T
    if np.ptp(x) == 0:
        raise UserError(f"batch law: one loss {table[0, 0]}; at least 2 are needed; measure more losses")
    if groups is not None and len(groups) != len(x):
        raise UserError(f"batch law: {len(groups)} groups for {len(x)} points; one each is needed; correct them")
    whiten = whitening(groups, len(x))
    design = np.stack([np.ones(len(x)), -x], 1)
    gram = np.linalg.inv((whiten @ design).T @ (whiten @ design))
    level, power = gram @ (whiten @ design).T @ (whiten @ y)
    residual = y - design @ (level, power)
    error = float(np.sqrt(((whiten @ residual) ** 2).sum() / (len(x) - 2) * gram[1, 1]))
    tails = np.random.default_rng(seed).standard_t(len(x) - 2, draws)
    half = error * float(np.percentile(np.abs(tails), 95))
    total = float(((y - y.mean()) ** 2).sum())
    return {
        "a": float(np.exp(level)),
        "b": float(power),
        "r2": 1 - float(residual @ residual) / total if total > 0 else 0.0,
        "b_interval": [float(power) - half, float(power) + half],
    }


def _check_positive(what: str, values: np.ndarray) -> None:
    wrong = values[~(np.isfinite(values) & (values > 0))]
    if wrong.size:
        raise UserError(f"batch law: {what} {wrong[0]}; all must be finite and above 0; drop or correct it")
