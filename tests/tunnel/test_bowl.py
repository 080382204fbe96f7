"""Bowls: the planted minimum is found and covered; ends, divergence and unusable input are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.tunnel.bowl import bowl_interval, drift, fit_bowl

X = np.arange(-4.0, 5.0)


def parabola(x: np.ndarray, lowest: float) -> np.ndarray:
    return 2.5 + 0.02 * (x - lowest) ** 2


def real(x: np.ndarray, lowest: float) -> np.ndarray:
    """A bowl that is steeper towards large rates, as those of learning rates are; its minimum is `lowest`, to 0.02."""
    offset = x - lowest
    return 2.5 + 0.012 * (offset + 0.2) ** 2 + 0.125 * np.log1p(np.exp(2 * (offset - 2.2)))


def seeds(losses: np.ndarray, noise: float, generator: np.random.Generator, count: int = 2) -> dict[float, list[float]]:
    return {float(x): list(y + noise * generator.standard_normal(count)) for x, y in zip(X, losses, strict=True)}


@given(st.floats(-2.5, 2.5), st.floats(0.001, 1.0), st.permutations(range(9)))
def test_a_parabolas_minimum_is_found_in_any_order(lowest: float, half_curvature: float, order: list[int]) -> None:
    bowl = fit_bowl(X[order], (1.5 + half_curvature * (X - lowest) ** 2)[order])
    assert bowl.x == pytest.approx(lowest, abs=1e-6)
    assert (bowl.value, bowl.curvature) == pytest.approx((1.5, 2 * half_curvature), rel=1e-6)
    assert not bowl.is_edge


def test_points_far_above_the_minimum_do_not_move_it() -> None:
    losses = parabola(X, 0.3)
    cliff = np.where(X >= 2, 7.0, losses)
    assert fit_bowl(X, cliff).x == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize(("lowest", "end"), [(-6.0, -4.0), (7.0, 4.0)])
def test_a_minimum_outside_is_an_edge(lowest: float, end: float) -> None:
    bowl = fit_bowl(X, parabola(X, lowest))
    assert (bowl.x, bowl.is_edge) == (end, True)


def test_divergence_bounds_the_minimum() -> None:
    losses = [3.0, 2.8, 2.6, None, float("inf")]
    bowl = fit_bowl(range(5), losses)
    assert (bowl.x, bowl.value, bowl.is_edge) == (2.0, 2.6, False)
    assert fit_bowl([0, 1], [2.0, 3.0]).is_edge
    assert fit_bowl([0, 1, 2], [None, 3.0, None]) == fit_bowl([0, 1, 2], [np.nan, 3.0, np.inf])
    by_seed = {0.0: [3.0, 3.0], 1.0: [2.8, 2.8], 2.0: [2.6, 2.6], 3.0: [2.1, None], 4.0: [None, None]}
    assert bowl_interval(by_seed, 0.001) == (2.0, 2.0)


def test_a_flat_or_jagged_bowl_falls_back_on_its_lowest_point() -> None:
    assert fit_bowl([0, 1, 2], [2.0, 2.0, 2.0]).is_edge
    jagged = fit_bowl(range(7), [2.30, 2.31, 2.32, 2.29, 2.32, 2.31, 2.30])
    assert jagged.x == pytest.approx(3.0)


@pytest.mark.parametrize("shape", [parabola, real])
def test_the_interval_covers_the_minimum(shape: object) -> None:
    generator, inside, widths = np.random.default_rng(0), 0, []
    for seed in range(50):
        lowest = generator.uniform(-0.5, 0.5)
        losses = parabola(X, lowest) if shape is parabola else real(X, lowest)
        fine = np.arange(-2, 2, 1e-3)
        truth = lowest if shape is parabola else fine[real(fine, lowest).argmin()]
        low, high = bowl_interval(seeds(losses, 0.008, generator), 0.008, 150, seed)
        inside += low <= truth <= high
        widths.append(high - low)
    assert inside >= 44
    assert np.median(widths) < 1


def test_a_shuffled_bowl_is_not_sure_of_its_minimum() -> None:
    generator = np.random.default_rng(3)
    low, high = bowl_interval(seeds(np.full(9, 2.5), 0.01, generator), 0.01, 300)
    assert high - low > 3


def test_drift_tells_a_moving_minimum_from_a_still_one() -> None:
    generator = np.random.default_rng(0)
    still = {width: seeds(real(X, 0.2), 0.006, generator) for width in (64, 128, 256)}
    moving = {width: seeds(real(X, 1.0 - step), 0.006, generator) for step, width in enumerate((64, 128, 256))}
    found, moved = drift(still, 0.006, 300), drift(moving, 0.006, 300)
    assert found["drift_interval"][0] <= 0 <= found["drift_interval"][1]
    assert abs(found["drift"]) < 0.7
    assert moved["drift"] == pytest.approx(-2, abs=0.7)
    assert moved["drift_interval"][1] < -1
    assert moved["spread"] == pytest.approx(2, abs=0.7)
    assert list(moved["optimum"]) == [64, 128, 256]
    assert all(low <= moved["optimum"][width] <= high for width, (low, high) in moved["interval"].items())
    assert not any(moved["is_edge"].values())


def test_unusable_points_are_named() -> None:
    with pytest.raises(UserError, match="no finite loss"):
        fit_bowl([0, 1, 2], [None, np.nan, np.inf])
    with pytest.raises(UserError, match="no finite loss"):
        bowl_interval({0.0: [None], 1.0: [None]}, 0.01)
    with pytest.raises(UserError, match="may occur once"):
        fit_bowl([0, 0, 1], [1.0, 1.0, 1.0])
    with pytest.raises(UserError, match="shapes"):
        fit_bowl([0, 1], [1.0])
    with pytest.raises(UserError, match="noise -1"):
        bowl_interval({0.0: [2.0]}, -1.0)
    with pytest.raises(UserError, match="without losses"):
        bowl_interval({0.0: []}, 0.1)
    with pytest.raises(UserError, match="1 widths; at least 2"):
        drift({64: {0.0: [2.0]}}, 0.01)
