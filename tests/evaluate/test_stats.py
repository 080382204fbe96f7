import numpy as np
import pytest

from dotori.evaluate.stats import bootstrap_interval, ratio_interval, share_interval


def test_wilson_known_values():
    assert share_interval(0, 0) is None
    assert share_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share_interval(0, 10)[0] == 0
    assert share_interval(10, 10)[1] == pytest.approx(1)


def test_ratio_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        sizes = generator.integers(50, 500, 60)
        bits = sizes * 2 + generator.normal(0, 60, 60)
        low, high = ratio_interval(bits.tolist(), sizes.tolist())
        hits += low <= 2 <= high
    assert 0.92 < hits / 400 < 0.98
    assert ratio_interval([1.0], [1.0]) is None


def test_bootstrap_agrees_with_the_closed_form_and_repeats():
    generator = np.random.default_rng(1)
    rows = np.stack([generator.integers(0, 2, 200), np.ones(200, int)], 1)
    interval = bootstrap_interval(rows, lambda sums: sums[0] / sums[1])
    assert interval == bootstrap_interval(rows, lambda sums: sums[0] / sums[1])
    assert interval == pytest.approx(share_interval(int(rows[:, 0].sum()), 200), abs=0.02)
    assert bootstrap_interval(rows[:1], lambda sums: 1.0) is None
