"""Planted laws come back within their intervals, in the design of a ladder: 4 sizes, 4 or 5 token counts each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.tunnel.power_law import (
    GAMMA,
    Fit,
    bootstrap_fits,
    compute_optimal,
    doptimal_ratio_interval,
    effective_tokens,
    fit_power_law,
    leave_out_largest,
    predict_band,
)

SIZES = np.repeat([0.15e6, 0.29e6, 0.56e6, 1.1e6], 4)
TOKENS = SIZES * np.tile([2.0, 4.0, 8.0, 15.0], 4)
GROUPS = [int(number) for number in np.repeat(np.arange(4), 4)]
HELD_OUT = (2.2e6, 33e6)
MINICPM = Fit(0.31, 7.15e-2 * 1e9**0.29, 0.29, 3.00e-1 * 1e9**0.23, 0.23, gamma=1.0)


def planted(
    e: float = 1.0, at_size: float = 0.6, alpha: float = 0.35, at_tokens: float = 0.9, beta: float = 0.3
) -> Fit:
    """A law by the shares of size and data in the loss at 0.4 M parameters and 2.2 M tokens."""
    return Fit(e, at_size * 0.4e6**alpha, alpha, at_tokens * 2.2e6**beta, beta)


LAWS = [planted(), planted(0.34, 0.76, 0.29, 1.34, 0.23), planted(1.4, 0.4, 0.5, 0.7, 0.45)]


def measured(law: Fit, noise: float, seed: int, shared: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    own, trunk = generator.standard_normal(16), generator.standard_normal(4)[GROUPS]
    return law.predict(SIZES, TOKENS) * np.exp(noise * (np.sqrt(1 - shared) * own + np.sqrt(shared) * trunk))


@pytest.mark.parametrize("law", LAWS)
def test_a_law_without_noise_comes_back(law: Fit) -> None:
    fit = fit_power_law(SIZES, TOKENS, law.predict(SIZES, TOKENS), groups=GROUPS)
    assert (fit.e, fit.alpha, fit.beta) == pytest.approx((law.e, law.alpha, law.beta), rel=5e-3)
    assert fit.predict(*HELD_OUT) == pytest.approx(law.predict(*HELD_OUT), rel=1e-5)


def test_the_band_holds_a_new_run_at_four_times_the_compute_and_the_law_its_ratio() -> None:
    flops, inside, ratios, errors, widths = 6e13, 0, 0, [], []
    for seed in range(30):
        law, generator = LAWS[seed % 3], np.random.default_rng(1000 + seed)
        losses = measured(law, 0.006, seed)
        fit, fits = fit_power_law(SIZES, TOKENS, losses), bootstrap_fits(SIZES, TOKENS, losses, 80, seed)
        band = predict_band(fit, fits, *HELD_OUT)
        run = float(law.predict(*HELD_OUT)) * np.exp(0.006 * generator.standard_normal())
        inside += band.low <= run <= band.high
        low, _, high = doptimal_ratio_interval(fits, flops)
        n, d = compute_optimal(law, flops)
        ratios += low <= d / n <= high
        errors.append(abs(band.value / run - 1))
        widths.append((band.high - band.low) / band.value)
    assert inside >= 26
    assert ratios >= 26
    assert np.median(errors) < 0.012
    assert np.median(widths) < 0.06


def test_the_band_holds_when_branches_share_their_trunks_seed() -> None:
    inside, whitened, plain = 0, [], []
    for seed in range(30):
        law = LAWS[seed % 3]
        losses, truth = measured(law, 0.006, seed, shared=0.7), float(law.predict(*HELD_OUT))
        fit = fit_power_law(SIZES, TOKENS, losses, groups=GROUPS)
        fits = bootstrap_fits(SIZES, TOKENS, losses, 80, seed, GROUPS, noise=0.006 * float(losses.mean()))
        band = predict_band(fit, fits, *HELD_OUT)
        inside += band.low <= truth <= band.high
        whitened.append(band.value / truth - 1)
        plain.append(float(fit_power_law(SIZES, TOKENS, losses).predict(*HELD_OUT)) / truth - 1)
    assert inside >= 26
    assert np.std(whitened) < 0.97 * np.std(plain)


def test_the_band_holds_where_the_terms_meet_otherwise_than_the_law_assumes() -> None:
    inside = 0
    for seed in range(20):
        law = replace(LAWS[seed % 3], gamma=(0.22, 0.6)[seed % 2])
        losses, truth = measured(law, 0.003, seed), float(law.predict(*HELD_OUT))
        fit, fits = fit_power_law(SIZES, TOKENS, losses), bootstrap_fits(SIZES, TOKENS, losses, 80, seed)
        band = predict_band(fit, fits, *HELD_OUT)
        inside += band.low <= truth <= band.high
    assert inside >= 18


def test_losses_that_do_not_belong_to_their_runs_give_no_prediction() -> None:
    losses = measured(LAWS[0], 0.005, 3)
    shuffled = np.random.default_rng(0).permutation(losses)
    good, bad = fit_power_law(SIZES, TOKENS, losses), fit_power_law(SIZES, TOKENS, shuffled)
    assert good.scatter < 0.01
    assert bad.scatter > 0.1
    band = predict_band(bad, bootstrap_fits(SIZES, TOKENS, shuffled), *HELD_OUT)
    assert band.high - band.low > 0.3 * band.value
    assert leave_out_largest(SIZES, TOKENS, losses).worst_error < 0.03
    assert leave_out_largest(SIZES, TOKENS, shuffled).worst_error > 0.1


def test_points_at_a_quarter_of_the_compute_stay_though_they_are_whole_batches_long() -> None:
    sizes = np.repeat([166e3, 362e3, 688e3, 1187e3], 4)
    compute = 2e12 * np.tile([0.125, 0.25, 0.5, 1.0], 4)
    tokens = np.ceil(compute / sizes / 1024) * 1024
    assert len(leave_out_largest(sizes, tokens, LAWS[0].predict(sizes, tokens), draws=20).measured) == 8


def test_huber_bears_a_spoilt_run_better_than_least_squares() -> None:
    robust, squares = [], []
    for seed in range(9):
        losses = measured(LAWS[0], 0.003, seed)
        losses[seed % 16] *= 1.15
        truth = float(LAWS[0].predict(*HELD_OUT))
        robust.append(abs(float(fit_power_law(SIZES, TOKENS, losses).predict(*HELD_OUT)) / truth - 1))
        squares.append(abs(float(fit_power_law(SIZES, TOKENS, losses, delta=10.0).predict(*HELD_OUT)) / truth - 1))
    assert np.mean(robust) < 0.7 * np.mean(squares)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_minimiser_finds_a_lower_huber_loss(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    law, delta = LAWS[seed], 0.01
    losses = measured(law, 0.004, seed)
    fit = fit_power_law(SIZES, TOKENS, losses, delta)
    log_n, log_d = np.log(SIZES / 0.4e6), np.log(TOKENS / 2.2e6)

    def objective(theta: np.ndarray) -> float:
        by_size, by_data = np.exp(theta[1] - np.exp(theta[3]) * log_n), np.exp(theta[2] - np.exp(theta[4]) * log_d)
        model = np.exp(theta[0]) + (by_size ** (1 / GAMMA) + by_data ** (1 / GAMMA)) ** GAMMA
        size = np.abs(np.log(model) - np.log(losses))
        prior = ((theta[3:] - np.log(0.3)) ** 2).sum() * (fit.scatter / 0.5) ** 2 / 2
        return float(np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).sum() + prior)

    best = min(
        optimize.minimize(
            objective, np.log([e, s, 1.5 - s, alpha, 0.3]), method="Nelder-Mead", options={"maxiter": 1500}
        ).fun
        for e in (0.3, 1.2)
        for s in (0.4, 0.8)
        for alpha in (0.2, 0.5)
    )
    assert fit.loss <= best * 1.01


def test_units_and_order_do_not_matter() -> None:
    losses, order = measured(LAWS[0], 0.004, 1), np.random.default_rng(0).permutation(16)
    one = fit_power_law(SIZES, TOKENS, losses)
    other = fit_power_law(SIZES[order] / 1e9, TOKENS[order] / 1e9, losses[order] * 0.7)
    assert other.predict(2.2e-3, 33e-3) / 0.7 == pytest.approx(one.predict(2.2e6, 33e6), rel=1e-5)
    assert bootstrap_fits(SIZES, TOKENS, losses, 5, seed=7) == bootstrap_fits(SIZES, TOKENS, losses, 5, seed=7)


def test_known_noise_between_seeds_widens_the_band() -> None:
    losses = measured(LAWS[0], 0.002, 1)
    fit = fit_power_law(SIZES, TOKENS, losses)
    narrow = predict_band(fit, bootstrap_fits(SIZES, TOKENS, losses), *HELD_OUT)
    wide = predict_band(fit, bootstrap_fits(SIZES, TOKENS, losses, noise=0.05), *HELD_OUT, noise=0.05)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert narrow.low < narrow.value < narrow.high


def test_the_largest_runs_are_left_out_and_found_again() -> None:
    inside, total = 0, 0
    for seed in range(9):
        left = leave_out_largest(SIZES, TOKENS, measured(LAWS[seed % 3], 0.005, seed), draws=60, seed=seed)
        assert left.indexes.tolist() == [11, 13, 14, 15]
        inside, total = inside + left.inside, total + 4
    assert inside >= 0.85 * total


def test_minicpms_average_law_gives_its_ratio() -> None:
    n, d = compute_optimal(MINICPM, 1e21)
    assert 183 < d / n < 193
    assert 6 * n * d == pytest.approx(1e21)
    best = float(MINICPM.predict(n, d))
    assert best < float(MINICPM.predict(n * 1.1, d / 1.1))
    assert best < float(MINICPM.predict(n / 1.1, d * 1.1))
    assert doptimal_ratio_interval([MINICPM] * 3, 1e21) == pytest.approx([d / n] * 3)


@settings(deadline=None)
@given(st.sampled_from([1.0, 0.5, GAMMA]), st.floats(0.1, 0.8), st.floats(0.1, 0.8), st.floats(1e12, 1e18))
def test_no_split_of_the_compute_is_better_than_the_optimal(
    gamma: float, alpha: float, beta: float, flops: float
) -> None:
    law = replace(planted(1.0, 0.6, alpha, 0.9, beta), gamma=gamma)
    n, d = compute_optimal(law, flops)
    assert 6 * n * d == pytest.approx(flops)
    best = float(law.predict(n, d))
    for factor in (0.25, 0.8, 1.25, 4.0):
        assert best <= float(law.predict(n * factor, d / factor)) * (1 + 1e-12)


def test_more_tokens_bring_less_to_a_size_that_is_the_limit_unless_the_law_is_a_sum() -> None:
    for gamma, same in ((1.0, True), (GAMMA, False)):
        law = replace(planted(), gamma=gamma)
        gains = [float(law.predict(n, 2e6) - law.predict(n, 4e6)) for n in (1.5e5, 1.1e6)]
        assert (gains[0] == pytest.approx(gains[1])) == same
        assert gains[0] <= gains[1] * (1 + 1e-9)


def test_a_sum_is_fitted_as_a_sum_where_that_is_asked() -> None:
    law = replace(planted(), gamma=1.0)
    fit = fit_power_law(SIZES, TOKENS, law.predict(SIZES, TOKENS), groups=GROUPS, gamma=1.0)
    assert (fit.e, fit.alpha, fit.beta, fit.gamma) == pytest.approx((law.e, law.alpha, law.beta, 1.0), rel=5e-3)


@given(st.floats(1e-2, 1e4), st.floats(1.0, 1e9), st.floats(1.001, 10))
def test_repeated_tokens_are_worth_less_and_never_more_than_a_bound(epochs: float, unique: float, more: float) -> None:
    worth = float(effective_tokens(epochs * unique, unique))
    assert worth <= min(epochs, 16.39) * unique * (1 + 1e-9)
    assert worth <= float(effective_tokens(epochs * unique * more, unique)) * (1 + 1e-12)
    assert epochs > 1 or worth == epochs * unique


def test_repeated_tokens_by_the_papers_formula() -> None:
    assert effective_tokens(np.array([4.0, 1.0]), 1.0) == pytest.approx([1 + 15.39 * (1 - np.exp(-3 / 15.39)), 1.0])


def test_unusable_points_are_named() -> None:
    losses = measured(LAWS[0], 0.004, 1)
    with pytest.raises(UserError, match="5 points; at least 6"):
        fit_power_law(SIZES[:5], TOKENS[:5], losses[:5])
    with pytest.raises(UserError, match="2 model sizes; at least 3"):
        bootstrap_fits(SIZES[:8], TOKENS[:8], losses[:8])
    with pytest.raises(UserError, match="2 token counts; at least 3"):
        fit_power_law(SIZES, np.tile([1e6, 2e6], 8), losses)
    for wrong in (np.nan, np.inf, 0.0, -1.0):
        with pytest.raises(UserError, match="finite and above 0"):
            fit_power_law(SIZES, TOKENS, np.where(np.arange(16) == 3, wrong, losses))
    with pytest.raises(UserError, match="shapes"):
        fit_power_law(SIZES, TOKENS[:9], losses)
    with pytest.raises(UserError, match="3 groups for 16 points"):
        fit_power_law(SIZES, TOKENS, losses, groups=[1, 2, 3])
    with pytest.raises(UserError, match="0 draws"):
        bootstrap_fits(SIZES, TOKENS, losses, draws=0)
    with pytest.raises(UserError, match="bootstrap_fits first"):
        predict_band(LAWS[0], [], 1e6, 1e6)
    with pytest.raises(UserError, match="times 1"):
        leave_out_largest(SIZES, TOKENS, losses, times=1.0)
    with pytest.raises(UserError, match="above 0"):
        effective_tokens(1.0, 0.0)
