"""The mixture: exact in every block, a permutation in every epoch, and a function of the sample number alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.data.mix import BLOCK, Mixture, Phase, permute, shares
from dotori.errors import UserError


@given(st.integers(1, 700), st.integers(0, 2**64 - 1))
def test_permute_is_a_permutation(size, key):
    assert sorted(permute(i, size, key) for i in range(size)) == list(range(size))


def test_keys_give_different_orders():
    orders = {tuple(permute(i, 50, key) for i in range(50)) for key in range(20)}
    assert len(orders) == 20


@given(st.lists(st.floats(0, 10), min_size=1, max_size=8).filter(lambda w: sum(w) > 1e-3))
def test_shares_fill_a_block_and_forget_nobody(weights):
    whole = shares(weights)
    assert sum(whole) == BLOCK
    assert all((share > 0) == (weight > 0) for share, weight in zip(whole, weights, strict=True))


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 99),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.lists(st.integers(1, 2500), max_size=2, unique=True),
)
def test_rows_of_a_domain_come_in_order_of_their_epochs(seed, sizes, starts):
    names = [f"d{i}" for i in range(len(sizes))]
    phases = [Phase(0, dict.fromkeys(names, 1.0))]
    phases += [Phase(start, {names[0]: 1.0, names[-1]: 2.0}) for start in sorted(starts)]
    mixture = Mixture(seed, dict(zip(names, sizes, strict=True)), phases)
    drawn = {i: [] for i in range(len(sizes))}
    for sample in range(3000):
        place = mixture.locate(sample)
        assert place.phase == sum(start <= sample for start in sorted(starts))
        drawn[place.domain].append(place.row)
    for domain, size in enumerate(sizes):
        rows = drawn[domain]
        for epoch in range(len(rows) // size):
            assert sorted(rows[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_locating_needs_no_history():
    sizes, phases = {"a": 30, "b": 500}, [Phase(0, {"a": 1, "b": 3}), Phase(1500, {"a": 1})]
    forward = [Mixture(7, sizes, phases).locate(i) for i in range(0, 3000, 7)]
    one = Mixture(7, sizes, phases)
    assert [one.locate(i) for i in reversed(range(0, 3000, 7))] == forward[::-1]


def test_weights_hold_in_every_block():
    mixture = Mixture(1, {"a": 9, "b": 9, "c": 9}, [Phase(0, {"a": 0.5, "b": 0.49, "c": 0.01})])
    for block in range(3):
        counts = [0, 0, 0]
        for sample in range(block * BLOCK, (block + 1) * BLOCK):
            counts[mixture.locate(sample).domain] += 1
        assert counts == [512, 502, 10]


@pytest.mark.parametrize(
    "phases",
    [
        [Phase(0, {"aa": 1.0})],
        [Phase(0, {"empty": 1.0})],
        [Phase(0, {"a": 0.0})],
        [Phase(0, {"a": 1.0, "b": -1.0})],
        [Phase(5, {"a": 1.0})],
        [Phase(0, {"a": 1.0}), Phase(0, {"b": 1.0})],
    ],
)
def test_impossible_mixtures_are_refused(phases):
    with pytest.raises(UserError):
        Mixture(0, {"a": 3, "b": 3, "empty": 0}, phases)
