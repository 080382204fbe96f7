"""The batch law: planted constants come back, the interval covers, and minima at the edge say so."""

from __future__ import annotations

import numpy as np
import pytest

from dotori.errors import UserError
from dotori.tunnel.batch_law import fit_batch_law, optimum_batch

LOSSES = np.concatenate([3.4 - 0.25 * size - 0.2 * np.arange(4) for size in range(3)])
GROUPS = [int(number) for number in np.repeat(np.arange(3), 4)]


def law(losses: np.ndarray) -> np.ndarray:
    return 1.21e9 / losses**6.24


def test_minicpms_law_comes_back() -> None:
    found = fit_batch_law(list(zip(LOSSES, law(LOSSES), strict=True)))
    assert (found["a"], found["b"], found["r2"]) == pytest.approx((1.21e9, 6.24, 1.0))
    assert found["b_interval"] == pytest.approx([6.24, 6.24])


@pytest.mark.parametrize("shared", [0.0, 0.25])
def test_the_interval_covers_with_and_without_errors_shared_by_a_model(shared: float) -> None:
    generator, inside, groups = np.random.default_rng(0), 0, GROUPS if shared else None
    for seed in range(300):
        error = 0.15 * generator.standard_normal(12) + shared * generator.standard_normal(3)[GROUPS]
        points = list(zip(LOSSES, law(LOSSES) * np.exp(error), strict=True))
        low, high = fit_batch_law(points, groups, draws=1000, seed=seed)["b_interval"]
        inside += low <= 6.24 <= high
    assert 0.91 * 300 <= inside <= 0.99 * 300


def test_batches_that_do_not_follow_the_loss_show_it() -> None:
    shuffled = np.random.default_rng(1).permutation(law(LOSSES))
    found = fit_batch_law(list(zip(LOSSES, shuffled, strict=True)))
    assert found["r2"] < 0.5
    assert found["b_interval"][0] < 0 < found["b_interval"][1]


@pytest.mark.parametrize("order", [1, -1])
def test_the_batch_that_needs_the_fewest_tokens(order: int) -> None:
    batches = [2.0**power for power in range(10, 17)][::order]
    needed = {batch: 1e6 * np.exp(0.15 * (np.log2(batch) - 12.7) ** 2) for batch in batches}
    best, is_edge = optimum_batch(needed)
    assert best == pytest.approx(2**12.7, rel=1e-6)
    assert not is_edge
    needed[2.0**16] = None
    assert optimum_batch(needed)[0] == pytest.approx(2**12.7, rel=1e-6)
    assert optimum_batch({batch: 1e6 * batch for batch in batches}) == (2.0**10, True)


def test_unusable_points_are_named() -> None:
    with pytest.raises(UserError, match="2 points; at least 3"):
        fit_batch_law([(3.0, 1e5), (2.5, 2e5)])
    with pytest.raises(UserError, match=r"one loss 3\.0"):
        fit_batch_law([(3.0, 1e5), (3.0, 2e5), (3.0, 3e5)])
    with pytest.raises(UserError, match=r"batch -1\.0"):
        fit_batch_law([(3.0, 1e5), (2.5, -1.0), (2.0, 3e5)])
    with pytest.raises(UserError, match="1 groups for 3 points"):
        fit_batch_law([(3.0, 1e5), (2.5, 2e5), (2.0, 3e5)], groups=[0])
    with pytest.raises(UserError, match="no batch reached the loss"):
        optimum_batch({1024: None, 2048: float("nan")})
    with pytest.raises(UserError, match=r"batch 0\.0"):
        optimum_batch({0: 1e6, 2048: 2e6})
