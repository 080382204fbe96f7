"""Schedules: bounded, continuous where they should be, falling where they should fall, and pure."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.train.schedule import Plan, decayed, fixed_plan, multiplier, timed_plan, warm

shapes = st.sampled_from(["exponential", "linear", "sqrt", "cosine"])
floors = st.floats(0, 0.5)


@st.composite
def plans(draw):
    total = draw(st.integers(1, 5000))
    decay_start = draw(st.integers(0, total))
    return Plan(warmup=draw(st.integers(0, decay_start)), decay_start=decay_start, total=total)


@given(plans(), shapes, floors)
def test_stays_in_bounds_and_is_one_in_the_stable_phase(plan, shape, floor):
    for step in {0, plan.warmup, plan.decay_start - 1, plan.decay_start, plan.total - 1, plan.total, plan.total + 9}:
        if step < 0:
            continue
        value = multiplier(step, plan, plan.warmup, shape, floor)
        assert 0 <= value <= 1
        if plan.warmup <= step < plan.decay_start:
            assert value == 1
        if step >= plan.total:
            assert value == floor


@given(st.integers(1, 400), shapes, floors)
def test_decay_falls_strictly_and_never_reaches_its_floor_before_the_end(steps, shape, floor):
    values = [decayed(step, steps, shape, floor) for step in range(steps)]
    assert all(a > b for a, b in itertools.pairwise(values))
    assert values[0] < 1
    assert values[-1] > floor


@given(st.integers(1, 500))
def test_warm_up_is_linear_and_ends_at_one(warmup):
    values = [warm(step, warmup) for step in range(warmup + 3)]
    assert values[0] == 1 / warmup
    assert values[warmup - 1 :] == [1.0] * 4


def test_shapes_at_the_middle_of_the_decay():
    middle = {shape: decayed(4, 9, shape, 0.0) for shape in ("linear", "sqrt", "cosine", "exponential")}
    assert middle == pytest.approx({"linear": 0.5, "sqrt": 1 - 0.5**0.5, "cosine": 0.5, "exponential": 0.5**2.5})


def test_cosine_over_the_whole_run_decays_from_the_end_of_the_warm_up():
    plan = fixed_plan(110, warmup=10, decay_share=1.0)
    assert plan == Plan(warmup=10, decay_start=10, total=110)
    assert multiplier(60, plan, 10, "cosine", 0.1) == pytest.approx(0.55, abs=0.02)


@given(st.integers(1, 10_000), st.integers(0, 500), st.floats(0, 1))
def test_a_fixed_plan_fills_the_run(total, warmup, share):
    plan = fixed_plan(total, warmup, share)
    assert plan.total == total
    assert abs((plan.total - plan.decay_start) - min(total * share, total - plan.warmup)) <= 1
    assert plan.warmup <= plan.decay_start


@given(st.floats(1, 3600), st.floats(0.01, 0.9), st.floats(0.001, 5))
def test_a_timed_plan_ends_within_its_budget(budget, share, step_seconds):
    step, elapsed, plan = 0, 0.0, None
    while plan is None and step < 100_000:
        plan = timed_plan(step, 10, share, elapsed, budget, step_seconds)
        if plan is None:
            step, elapsed = step + 1, elapsed + step_seconds
    if plan is not None:
        end = elapsed + (plan.total - plan.decay_start) * step_seconds
        assert end <= budget * 1.0001 or plan.total - plan.decay_start == 1
        assert plan.decay_start == step


def test_without_decay_a_timed_run_ends_at_its_budget():
    assert timed_plan(7, 2, 0.0, 59.9, 60.0, 1.0) is None
    assert timed_plan(8, 2, 0.0, 60.1, 60.0, 1.0) == Plan(warmup=2, decay_start=8, total=8)


def test_impossible_plans_are_refused():
    for numbers in ((0, 9, 5), (-1, 0, 5), (0, -1, 5)):
        with pytest.raises(UserError, match="schedule"):
            Plan(*numbers)
