"""The constants of the law of power_law.py that fit log losses best: many bounded problems at once.

A set of constants is theta, (5,): log e, log a, log b of the centred logs, log alpha, log beta. Which bounds, prior and
correlation hold and why: power_law.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

EXPONENTS = (0.05, 1.5)
PRIOR, PRIOR_SD = 0.3, 0.5
SHARED = 0.5
_TYPICAL_NOISE = 0.005


class Problem(NamedTuple):
    """Points as the solver sees them: logs around their means, whitened by `whiten` (n, n)."""

    log_n: np.ndarray
    log_d: np.ndarray
    target: np.ndarray
    whiten: np.ndarray
    shift: tuple[float, float, float]
    delta: float


class Solved(NamedTuple):
    """The best end of the starts, (5,), its objective, and the starts worth trying again, (k, 5)."""

    theta: np.ndarray
    objective: float
    starts: np.ndarray


_LOWEST = np.array([-9.0, -9.0, -9.0, *np.log([EXPONENTS[0]] * 2)])
_HIGHEST = np.array([0.0, 2.0, 2.0, *np.log([EXPONENTS[1]] * 2)])


def whitening(groups: Sequence[Hashable] | None, count: int) -> np.ndarray:
    """The symmetric inverse root of the correlation matrix: unlike a Cholesky root it keeps an outlier where it is."""
    if groups is None:
        return np.eye(count)
    same = np.array([[one == other for other in groups] for one in groups], np.float64)
    values, vectors = np.linalg.eigh((1 - SHARED) * np.eye(count) + SHARED * same)
    return (vectors / np.sqrt(values)) @ vectors.T


def prior_centre() -> np.ndarray:
    """Where the prior expects theta, (5,); the first three have no weight."""
    return np.array([0.0, 0.0, 0.0, np.log(PRIOR), np.log(PRIOR)])


def _precision(scatter: float) -> np.ndarray:
    """The prior's weight against squared residuals, (5,): none on e, a and b."""
    return np.array([0.0, 0.0, 0.0, 1.0, 1.0]) * (scatter / PRIOR_SD) ** 2


def _starts() -> np.ndarray:
    """(36, 5): log e, log a, log b (shares of the mean loss), log alpha, log beta."""
    exponents = (0.15, 0.35, 0.8)
    grid = [
        (e, (1 - e) * part, (1 - e) * (1 - part), alpha, beta)
        for e in (0.1, 0.5)
        for part in (0.25, 0.6)
        for alpha in exponents
        for beta in exponents
    ]
    return np.log(grid)


def solve_law(problem: Problem, gamma: float) -> tuple[Solved, float, float]:
    """The fit, its scatter and the degrees of freedom left. Later passes weigh the prior by the scatter seen."""
    solved, scatter = _solve(problem, gamma, _TYPICAL_NOISE, _starts()), _TYPICAL_NOISE
    starts = solved.starts
    for _ in range(2):
        scatter, _ = _scatter(problem, gamma, solved.theta, scatter)
        solved = _solve(problem, gamma, scatter, np.vstack([solved.theta, starts]))
    scatter, freedom = _scatter(problem, gamma, solved.theta, scatter)
    return Solved(solved.theta, solved.objective, starts), scatter, freedom


def _solve(problem: Problem, gamma: float, scatter: float, starts: np.ndarray) -> Solved:
    targets, gammas = np.tile(problem.target, (len(starts), 1)), np.full(len(starts), gamma)
    theta, objective = minimise(
        problem, targets, starts, np.broadcast_to(prior_centre(), starts.shape), gammas, scatter
    )
    order = objective.argsort()
    return Solved(theta[order[0]], float(objective[order[0]]), starts[order[:2]])


def _scatter(problem: Problem, gamma: float, theta: np.ndarray, scatter: float) -> tuple[float, float]:
    """Relative sd around the law, and its degrees of freedom: points less what the five constants took of them."""
    model, slope = _model(problem, theta[None], np.array([gamma]))
    residual = model[0] - problem.target
    gram = slope[0].T @ slope[0]
    ridge = np.diag(_precision(scatter) + 1e-12)
    freedom = len(residual) - float(np.trace(np.linalg.solve(gram + ridge, gram)))
    return max(float(np.sqrt(residual @ residual / freedom)), 1e-7), freedom


def _model(problem: Problem, theta: np.ndarray, gammas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whitened log losses (k, m) of k sets of constants (k, 5) with gammas (k,), and their derivatives (k, m, 5)."""
    alpha, beta, gamma = np.exp(theta[:, 3:4]), np.exp(theta[:, 4:5]), gammas[:, None]
    level = np.broadcast_to(theta[:, :1], (len(theta), len(problem.log_n)))
    by_size, by_data = theta[:, 1:2] - alpha * problem.log_n, theta[:, 2:3] - beta * problem.log_d
    above = gamma * np.logaddexp(by_size / gamma, by_data / gamma)
    total = np.logaddexp(level, above)
    share = np.exp(above - total)
    of_size = share * np.exp((by_size - above) / gamma)
    of_data = share * np.exp((by_data - above) / gamma)
    slopes = (1 - share, of_size, of_data, -of_size * alpha * problem.log_n, -of_data * beta * problem.log_d)
    return total @ problem.whiten, problem.whiten @ np.stack(slopes, -1)


def minimise(
    problem: Problem,
    targets: np.ndarray,
    starts: np.ndarray,
    centres: np.ndarray,
    gammas: np.ndarray,
    scatter: float,
    steps: int = 80,
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg-Marquardt on k problems at once: ends (k, 5) and objectives (k,).

    `targets` (k, m), `starts` and `centres` of the prior (k, 5), `gammas` (k,), `scatter` that weighs the prior.
    Plain L-BFGS crawls along the valley in which e, alpha and beta trade off; the curvature crosses it in few steps.
    """
    precision, delta = _precision(scatter), problem.delta

    def measure(theta: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        model, slope = _model(problem, theta, gammas[rows])
        residual = model - targets[rows]
        size = np.abs(residual)
        huber = np.where(size <= delta, residual**2 / 2, delta * (size - delta / 2)).sum(1)
        return huber + (precision * (theta - centres[rows]) ** 2).sum(1) / 2, residual, slope

    rows = np.arange(len(starts))
    ends = np.clip(starts, _LOWEST, _HIGHEST)
    damping = np.full(len(ends), 1e-2)
    objective, residual, slope = measure(ends, rows)
    final = objective.copy()
    for _ in range(steps):
        theta = ends[rows]
        new = np.clip(
            theta + _step(theta, residual, slope, damping, centres[rows], precision, delta), _LOWEST, _HIGHEST
        )
        tried, new_residual, new_slope = measure(new, rows)
        better = tried <= objective
        settled = (better & (objective - tried <= 1e-10 * objective)) | (damping > 1e7)
        ends[rows[better]], final[rows[better]] = new[better], tried[better]
        damping = np.where(better, np.maximum(damping * 0.3, 1e-9), damping * 4)
        objective = np.where(better, tried, objective)
        residual = np.where(better[:, None], new_residual, residual)
        slope = np.where(better[:, None, None], new_slope, slope)
        going = ~settled
        if not going.any():
            break
        rows, damping, objective, residual, slope = (
            array[going] for array in (rows, damping, objective, residual, slope)
        )
    return ends, final


def _step(
    theta: np.ndarray,
    residual: np.ndarray,
    slope: np.ndarray,
    damping: np.ndarray,
    centres: np.ndarray,
    precision: np.ndarray,
    delta: float,
) -> np.ndarray:
    """The damped Gauss-Newton step, (k, 5), of the constants that no bound holds; at most 2 in any logarithm."""
    weight = np.minimum(1, delta / np.maximum(np.abs(residual), 1e-300))
    gradient = np.einsum("km,kmi->ki", weight * residual, slope) + precision * (theta - centres)
    curvature = (weight[..., None] * slope).transpose(0, 2, 1) @ slope + np.diag(precision)
    held = ((theta <= _LOWEST) & (gradient > 0)) | ((theta >= _HIGHEST) & (gradient < 0))
    diagonal = np.einsum("kii->ki", curvature)
    ridge = damping[:, None] * (diagonal + 1e-7) + 1e-14
    curvature = np.where(held[:, :, None] | held[:, None, :], 0, curvature)
    curvature += np.where(held, 1, ridge)[..., None] * np.eye(5)
    step = np.linalg.solve(curvature, np.where(held, 0, -gradient)[..., None])[..., 0]
    return np.clip(step, -2, 2)
