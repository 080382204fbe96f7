"""The loss as a function of model size and data, fitted, and its prediction:

    L(N, D) = e + ((a N^-alpha)^(1/gamma) + (b D^-beta)^(1/gamma))^gamma

gamma = 1 is the sum of Hoffmann et al. (2203.15556) and MiniCPM: what more tokens bring is the same at every size. On
the tunnel's scale it is not: from 1.7 to 3.5 M tokens a model 96 wide gains 0.12 bits per byte of English, one 48 wide
0.09. With a small gamma the larger of the two terms rules, as in Kaplan et al. (2001.08361, equation 1.5, where gamma
is beta). Over two ladders and two languages the runs scatter around the sum by 1 %, with gamma = 0.35 by 0.2 to 0.4 %;
the larger runs are off by 0.4 to 1.5 % and -0.6 to 0.4 % (docs/log.md). The scatter is least at 0.25 to 0.3, the error
at 0.35 to 0.5: what gamma is stays uncertain, and the bootstrap draws it.

The fit minimises a Huber loss of log losses (Hoffmann et al. 2022, 2203.15556) by bounded Levenberg-Marquardt from a
grid of starts. Three choices differ from the paper, all for few small runs:

- delta is 1e-2, not 1e-3: the noise of small runs is 0.3 to 1 %, and a delta far below it is a median regression,
  whose predictions err by a fifth to a half more on normal noise.
- e, alpha and beta trade off within a narrow range of sizes. So 0.05 <= alpha, beta <= 1.5, e >= 0, and a weak prior:
  each exponent log-normal around 0.3 with sd 0.5 (95 %: 0.11 to 0.8). It matters only where the points decide nothing.
- The branches of one training run share its seed, so points of one group correlate by 0.5 and are whitened before the
  fit. At a true correlation of 0.6 a prediction errs a tenth less than with points taken for independent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dotori.errors import UserError
from dotori.tunnel.law_solver import PRIOR_SD, Problem, minimise, prior_centre, solve_law, whitening

LEAST_POINTS = 6
GAMMA, GAMMA_SD = 0.35, 0.3
_LEAST_VALUES = 3
_R_STAR = 15.39


@dataclass(frozen=True)
class Fit:
    """The law's constants in the units of the n, d and loss it was fitted to.

    `loss` is the Huber objective at the fit, `scatter` the relative standard deviation of a run around the law.
    """

    e: float
    a: float
    alpha: float
    b: float
    beta: float
    loss: float = 0.0
    scatter: float = 0.0
    gamma: float = GAMMA

    def predict(self, n: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """The loss of models of n parameters on d tokens, float64, the broadcast shape of both."""
        size, data = np.asarray(n, np.float64), np.asarray(d, np.float64)
        by_size, by_data = self.a * size**-self.alpha, self.b * data**-self.beta
        return self.e + (by_size ** (1 / self.gamma) + by_data ** (1 / self.gamma)) ** self.gamma


class Band(NamedTuple):
    """A predicted loss with the interval that holds one measured run with 95 %."""

    value: float
    low: float
    high: float


class LeftOut(NamedTuple):
    """The runs of largest compute, predicted from the others: `indexes` into the points, float64 arrays of each."""

    indexes: np.ndarray
    measured: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def worst_error(self) -> float:
        """The largest |predicted / measured - 1|."""
        return float(np.abs(self.value / self.measured - 1).max())

    @property
    def inside(self) -> int:
        """How many lie within their band."""
        return int(((self.low <= self.measured) & (self.measured <= self.high)).sum())


def fit_power_law(
    n: Sequence[float] | np.ndarray,
    d: Sequence[float] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    delta: float = 1e-2,
    groups: Sequence[Hashable] | None = None,
    gamma: float = GAMMA,
) -> Fit:
    """The law through losses (m,) of models of n parameters (m,) trained on d tokens (m,).

    `groups` (m,): points with the same value are branches of one training run. `delta`: relative deviations beyond it
    count linearly. Raises UserError for fewer than 6 points, 3 sizes or 3 token counts, or values not above 0.
    """
    problem = _problem(n, d, loss, groups, delta)
    solved, scatter, _ = solve_law(problem, gamma)
    return _unshift(solved.theta, gamma, problem, solved.objective, scatter)


def bootstrap_fits(
    n: Sequence[float] | np.ndarray,
    d: Sequence[float] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    draws: int = 200,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    noise: float | None = None,
    delta: float = 1e-2,
) -> list[Fit]:
    """`draws` fits that spread as the law is uncertain. `noise`: known sd of a run's loss between seeds, its units.

    Resampled residuals of a five-constant fit to four sizes are too few and too small. So each draw adds normal noise
    to the measured logs, shared in part within groups, and refits. Its sd is `noise` unless the residuals are larger:
    then it is drawn too (residual variance over a chi-square: Student's tails). The prior's centre is drawn as well, so
    that the prior narrows the band by no more than it knows (randomise-then-optimise, Bardsley et al. 2014), and gamma:
    log-normal with sd GAMMA_SD, at most 1. Raises as fit_power_law, and for draws < 1.
    """
    if draws < 1:
        raise UserError(f"power law: {draws} draws; there must be at least 1; raise draws")
    problem = _problem(n, d, loss, groups, delta)
    solved, scatter, freedom = solve_law(problem, GAMMA)
    least = 0.0 if noise is None else noise / float(np.mean(loss))
    generator = np.random.default_rng(seed)
    spread = np.full(draws, least)
    if scatter > least:
        spread = scatter * np.sqrt(freedom / generator.chisquare(freedom, draws))
    targets = problem.target + spread[:, None] * generator.standard_normal((draws, len(problem.target)))
    centres = np.tile(prior_centre(), (draws, 1))
    centres[:, 3:] += PRIOR_SD * generator.standard_normal((draws, 2))
    gammas = np.minimum(GAMMA * np.exp(GAMMA_SD * generator.standard_normal(draws)), 1.0)
    tries = np.vstack([solved.theta, solved.starts])
    theta, objective = minimise(
        problem,
        np.repeat(targets, len(tries), 0),
        np.tile(tries, (draws, 1)),
        np.repeat(centres, len(tries), 0),
        np.repeat(gammas, len(tries)),
        max(scatter, least),
    )
    best = objective.reshape(draws, -1).argmin(1) + np.arange(draws) * len(tries)
    rows = zip(best, gammas, spread, strict=True)
    return [_unshift(theta[i], float(gamma), problem, float(objective[i]), float(sd)) for i, gamma, sd in rows]


def predict_band(fit: Fit, fits: Sequence[Fit], n: float, d: float, noise: float | None = None) -> Band:
    """The loss of one run at (n, d), 95 %: the spread of `fits` and a run's own noise around each.

    The noise of each draw is its scatter, at least `noise` (sd between seeds, the loss's units). Raises UserError
    without fits.
    """
    if not fits:
        raise UserError("power law: no fits for a band; at least 1 is needed; call bootstrap_fits first")
    value = float(fit.predict(n, d))
    least = 0.0 if noise is None else noise / value
    middles = np.array([float(one.predict(n, d)) for one in fits])
    sds = np.maximum([one.scatter for one in fits], least)
    around = np.random.default_rng(0).standard_normal((len(fits), 100))
    low, high = np.percentile(middles[:, None] * np.exp(sds[:, None] * around), [2.5, 97.5])
    return Band(value, min(float(low), value), max(float(high), value))


def leave_out_largest(
    n: Sequence[float] | np.ndarray,
    d: Sequence[float] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    times: float = 4.0,
    draws: int = 200,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    noise: float | None = None,
) -> LeftOut:
    """Predicts the points of more than 1/`times` of the largest compute N D (whole batches forgiven) from all others.

    Raises UserError as fit_power_law, for the points that remain, and for times <= 1.
    """
    if not times > 1:
        raise UserError(f"power law: times {times}; it must be above 1; correct it")
    size, data, losses = _checked(n, d, loss)
    compute = size * data
    out = compute > 1.02 * compute.max() / times
    kept = None if groups is None else [group for group, is_out in zip(groups, out, strict=True) if not is_out]
    fit = fit_power_law(size[~out], data[~out], losses[~out], groups=kept)
    fits = bootstrap_fits(size[~out], data[~out], losses[~out], draws, seed, kept, noise)
    bands = np.array([predict_band(fit, fits, *point, noise) for point in zip(size[out], data[out], strict=True)])
    return LeftOut(np.flatnonzero(out), losses[out], bands[:, 0], bands[:, 1], bands[:, 2])


def compute_optimal(fit: Fit, flops: float) -> tuple[float, float]:
    """(n, d) of least loss at `flops` = 6 n d; the fit must be in single parameters and tokens."""
    product = flops / 6
    total = fit.alpha + fit.beta
    n = ((fit.alpha / fit.beta) ** fit.gamma * fit.a / fit.b) ** (1 / total) * product ** (fit.beta / total)
    return float(n), float(product / n)


def doptimal_ratio_interval(fits: Sequence[Fit], flops: float) -> tuple[float, float, float]:
    """(low, median, high), 95 %, of tokens per parameter at the compute optimum. Raises UserError without fits."""
    if not fits:
        raise UserError("power law: no fits for an interval; at least 1 is needed; call bootstrap_fits first")
    optima = [compute_optimal(fit, flops) for fit in fits]
    low, middle, high = np.percentile([d / n for n, d in optima], [2.5, 50, 97.5])
    return float(low), float(middle), float(high)


def effective_tokens(
    tokens: Sequence[float] | np.ndarray | float, unique: Sequence[float] | np.ndarray | float, r_star: float = _R_STAR
) -> np.ndarray:
    """What `tokens` seen of `unique` ones are worth as fresh ones, float64 (Muennighoff et al. 2305.16264, eq. 5).

    Unchanged up to one epoch, then U + U R* (1 - exp(-R / R*)) with R = tokens / unique - 1. Raises UserError for
    values not above 0.
    """
    seen, once = np.asarray(tokens, np.float64), np.asarray(unique, np.float64)
    _check_positive("effective tokens", seen, once, np.asarray(r_star))
    repeats = np.maximum(seen / once - 1, 0)
    return np.where(seen <= once, seen, once - once * r_star * np.expm1(-repeats / r_star))


def _check_positive(what: str, *arrays: np.ndarray) -> None:
    for array in arrays:
        wrong = array[~(np.isfinite(array) & (array > 0))]
        if wrong.size:
            raise UserError(f"{what}: value {wrong.flat[0]}; all must be finite and above 0; drop or correct it")


def _checked(
    n: Sequence[float] | np.ndarray, d: Sequence[float] | np.ndarray, loss: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size, data, losses = (np.asarray(values, np.float64) for values in (n, d, loss))
    if not size.shape == data.shape == losses.shape or size.ndim != 1:
        shapes = f"{size.shape}, {data.shape}, {losses.shape}"
        raise UserError(f"power law: shapes {shapes} of n, d, loss; they must be equal and flat; correct them")
    _check_positive("power law", size, data, losses)
    return size, data, losses


def _problem(
    n: Sequence[float] | np.ndarray,
    d: Sequence[float] | np.ndarray,
    loss: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | None,
    delta: float,
) -> Problem:
    size, data, losses = _checked(n, d, loss)
    if len(losses) < LEAST_POINTS:
        raise UserError(f"power law: {len(losses)} points; at least {LEAST_POINTS} are needed; measure more runs")
    for name, values in (("model sizes", size), ("token counts", data)):
        if len(np.unique(values)) < _LEAST_VALUES:
            count = len(np.unique(values))
            raise UserError(f"power law: {count} {name}; at least {_LEAST_VALUES} are needed; measure more {name}")
    if groups is not None and len(groups) != len(losses):
        raise UserError(f"power law: {len(groups)} groups for {len(losses)} points; one each is needed; correct them")
    logs = [np.log(values) for values in (size, data, losses)]
    shift = (float(logs[0].mean()), float(logs[1].mean()), float(logs[2].mean()))
    log_n, log_d, target = (values - mean for values, mean in zip(logs, shift, strict=True))
    whiten = whitening(groups, len(losses))
    return Problem(log_n, log_d, whiten @ target, whiten, shift, delta)


def _unshift(theta: np.ndarray, gamma: float, problem: Problem, objective: float, scatter: float) -> Fit:
    """Constants of the centred logs, (5,), to those of the caller's units."""
    alpha, beta = float(np.exp(theta[3])), float(np.exp(theta[4]))
    log_n, log_d, log_loss = problem.shift
    return Fit(
        e=float(np.exp(theta[0] + log_loss)),
        a=float(np.exp(theta[1] + log_loss + alpha * log_n)),
        alpha=alpha,
        b=float(np.exp(theta[2] + log_loss + beta * log_d)),
        beta=beta,
        loss=objective,
        scatter=scatter,
        gamma=gamma,
    )
