"""Noise between seeds: what it estimates, and that its limit holds as often as it says, however few the seeds."""

import numpy as np
import pytest
from scipy import stats

from dotori.tunnel.noise import chance, seed_noise


def test_noise_is_the_spread_of_seeds_alone():
    random = np.random.default_rng(3)
    groups = [list(random.normal(level, 0.05, 4)) for level in range(300)]
    assert seed_noise(groups) == pytest.approx(0.05, rel=0.08)
    assert seed_noise([[1.0, None], [2.0]]) == 0.01


@pytest.mark.parametrize("degrees", [1, 2, 4, 10, 11, 20, 60])
def test_it_is_widened_by_students_t(degrees):
    values = [0.0, 1.0] + [0.5] * (degrees - 1)  # sum of squares 0.5
    expected = stats.t.ppf(0.975, degrees) / 1.96 * (0.5 / degrees) ** 0.5
    assert seed_noise([values]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("groups", "seeds", "runs"), [(1, 2, 1), (2, 3, 1), (2, 3, 3), (6, 2, 1)])
def test_nineteen_of_twenty_differences_stay_within(groups, seeds, runs):
    random, inside, draws = np.random.default_rng(7), 0, 4000
    for _ in range(draws):
        noise = seed_noise(random.normal(0, 1, (groups, seeds)).tolist())
        a, b = random.normal(0, 1, (2, runs)).mean(1)
        inside += abs(a - b) <= chance(noise, runs)
    assert inside / draws == pytest.approx(0.95, abs=0.015)
