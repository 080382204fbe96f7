"""The size for a given time is the law's where speed is constant, and larger where small models are slow."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.tunnel.budgets import Size, best_size
from dotori.tunnel.power_law import Fit, compute_optimal, effective_tokens

# Sums, whose optimum is wide enough to move between whole sizes.
LAW = Fit(e=1.1, a=40, alpha=0.33, b=60, beta=0.31, gamma=1.0)
FAR = Fit(e=0.9, a=90, alpha=0.33, b=60, beta=0.31, gamma=1.0)
ENDLESS = 1e15
RATE = 1e11


def sizes(fixed=0.0):
    """Shapes of one proportion at RATE FLOP/s, plus `fixed` seconds a token whatever the size."""
    found = []
    for heads in range(1, 65):
        n = 12.0 * heads * (24 * heads) ** 2
        found.append(Size(24 * heads, heads, n, 6 * n / RATE + fixed))
    return found


@settings(deadline=None)
@given(st.floats(60, 1e5))
def test_at_constant_speed_it_is_the_compute_optimum(seconds):
    best, _ = best_size(sizes(), {"ko": LAW}, seconds, ENDLESS, 0.0)
    n, d = compute_optimal(LAW, RATE * seconds)
    assert (best.layers - 1) ** 3 < n / 6912 < (best.layers + 1) ** 3
    assert seconds / best.token_seconds == pytest.approx(n * d / best.n)


def test_a_fixed_cost_makes_small_models_dear():
    free, dear = (best_size(sizes(fixed), {"ko": LAW}, 600, ENDLESS, 0.0)[0] for fixed in (0.0, 3e-4))
    assert dear.width > free.width


def test_more_time_never_wants_a_smaller_model():
    widths = [
        best_size(sizes(1e-5), {"ko": LAW}, seconds, ENDLESS, 0.0)[0].width for seconds in (60, 600, 6000, 60_000)
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_text_that_must_be_repeated_wants_a_larger_model():
    plenty, little = (best_size(sizes(), {"ko": LAW}, 6000, unique, 0.0)[0] for unique in (ENDLESS, 1e6))
    assert little.width > plenty.width


def test_languages_count_alike():
    alone = [best_size(sizes(), {"ko": law}, 600, ENDLESS, 0.0)[0].width for law in (LAW, FAR)]
    both = best_size(sizes(), {"ko": LAW, "en": FAR}, 600, ENDLESS, 0.0)[0].width
    assert alone[0] < both < alone[1]


@settings(deadline=None)
@given(st.floats(0, 0.05))
def test_as_good_is_what_lies_within_the_margin(margin):
    best, good = best_size(sizes(), {"ko": LAW}, 600, 5e6, margin)

    def loss(size):
        return float(LAW.predict(size.n, effective_tokens(600 / size.token_seconds, 5e6)))

    assert best in good
    assert all((loss(size) <= loss(best) + margin) == (size in good) for size in sizes())
