"""Learning-rate multipliers: pure functions of the step, so that a resumed run cannot drift.

A step is one optimizer update, counted from 0. With W = `warmup`, T = `decay_start`, S = `total`:

    warm-up   s < W        (s + 1) / W          the first update already learns
    stable    W <= s < T   1                    (MiniCPM, arXiv 2404.06395: WSD = warm-up, stable, decay)
    decay     T <= s < S   floor + (1 - floor) * shape(p),  p = (s - T + 1) / (S - T + 1), so 0 < p < 1
    after     s >= S       floor
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dotori.errors import UserError

Shape = Literal["exponential", "linear", "sqrt", "cosine"]

# MiniCPM's released models: about 0.1 T tokens of decay with a half-life of 5000 steps (20 B tokens).
HALF_LIVES = 5


@dataclass(frozen=True)
class Plan:
    """Where the phases of one run lie, in steps: warm-up to `warmup`, decay from `decay_start` to `total`."""

    warmup: int
    decay_start: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.decay_start <= self.total or self.warmup < 0:
            raise UserError(
                f"schedule: warmup {self.warmup}, decay_start {self.decay_start}, total {self.total}; "
                "0 <= decay_start <= total and warmup >= 0 are needed; correct the step numbers"
            )


def fixed_plan(total: int, warmup: int, decay_share: float) -> Plan:
    """The plan of a run whose length is known: the last `decay_share` of `total` steps decay, at least one if any.

    A share of 1 decays from the end of the warm-up on.
    """
    warmup = min(warmup, total)
    decay = min(total - warmup, max(1, round(total * decay_share))) if decay_share > 0 else 0
    return Plan(warmup=warmup, decay_start=total - decay, total=total)


def timed_plan(
    step: int, warmup: int, decay_share: float, elapsed: float, budget: float, step_seconds: float
) -> Plan | None:
    """The plan of a run with a wall-clock budget (seconds), or None while the stable phase goes on.

    Called before `step`. The stable phase ends when the time left is the decay's share of `budget`; the number of
    decay steps is what fits the time left at the measured `step_seconds`. Once made, the plan never changes.
    """
    left = budget - elapsed
    if left > decay_share * budget:
        return None
    decay = max(1, int(left / step_seconds)) if decay_share > 0 else 0
    return Plan(warmup=min(warmup, step), decay_start=step, total=step + decay)


def multiplier(step: int, plan: Plan | None, warmup: int, shape: Shape, floor: float) -> float:
    """The factor of the peak learning rate at `step`, in 0..1; `plan` None means that no decay is planned yet."""
    if plan is None:
        return warm(step, warmup)
    if step < plan.decay_start:
        return warm(step, plan.warmup)
    return decayed(step - plan.decay_start, plan.total - plan.decay_start, shape, floor)


def warm(step: int, warmup: int) -> float:
    """Linear warm-up to 1 over `warmup` updates, then constant."""
    return min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0


def decayed(step: int, steps: int, shape: Shape, floor: float) -> float:
    """The decay phase alone: strictly falling from below 1 to above `floor` over `steps` updates, then `floor`."""
    if step >= steps:
        return floor
    share = (step + 1) / (steps + 1)
    return floor + (1 - floor) * _shape(share, shape)


def _shape(share: float, shape: Shape) -> float:
    if shape == "linear":
        return 1 - share
    if shape == "sqrt":  # 1 - sqrt(p): arXiv 2405.18392
        return 1 - math.sqrt(share)
    if shape == "cosine":  # with the factor of one half that 2404.06395 forgets to print
        return (1 + math.cos(math.pi * share)) / 2
    return 0.5 ** (HALF_LIVES * share)
