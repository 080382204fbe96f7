"""Axes of the tunnel's charts: ranges, round numbers on linear and logarithmic scales, colours for things in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dotori.report.svg import short, ticks
from dotori.tunnel.page.words import ten_to


@dataclass(frozen=True)
class Axis:
    """`label` carries the unit. `low`, `high` None: what the data need. `ticks`: only these values are named."""

    label: str
    is_log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: tuple[float, ...] = ()


def ramp(position: float) -> str:
    """A colour between the page's three ramp colours, for things in order: 0 first, 1 last."""
    position = min(max(position, 0.0), 1.0)
    first, second, share = ("low", "mid", 2 * position) if position <= 0.5 else ("mid", "high", 2 * position - 1)
    return f"color-mix(in oklab, var(--ramp-{second}) {100 * share:.0f}%, var(--ramp-{first}))"


def ramps(number: int) -> list[str]:
    """`number` colours in order."""
    return [ramp(i / max(number - 1, 1)) for i in range(number)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """1, 2, 5 times powers of ten inside [low, high], fewer where that is more than `most`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [m * 10.0**power for power in range(first, last + 1) for m in steps]
        found = [value for value in values if low * 0.999 <= value <= high * 1.001]
        if len(found) <= most:
            break
    stride = -(-len(found) // most) if found else 1
    return found[::stride] if len(found) > 1 else [value for value in ticks(low, high, most) if value > 0]


def tick_text(value: float, is_log: bool) -> str:
    """A value beside an axis: 0.0005, 20k, 10¹²."""
    if is_log and value >= 1e9:
        power = math.floor(math.log10(value) + 1e-9)
        lead = value / 10**power
        return ten_to(power) if abs(lead - 1) < 1e-6 else f"{lead:g}×{ten_to(power)}"
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e-3 else short(value)


@dataclass(frozen=True)
class Scale:
    """Places values between `start` and `end` (units of the drawing)."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool

    def __call__(self, value: float) -> float:
        """Where a value stands; a logarithmic scale has no place for zero and below."""
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        position = math.log(value) if self.is_log else value
        return self.start + (self.end - self.start) * (position - low) / (high - low)


def scale_for(axis: Axis, values: Sequence[float], start: float, end: float) -> Scale:
    """A scale with a little air around the values; what the axis fixes stays fixed."""
    values = [*values, *(bound for bound in (axis.low, axis.high) if bound is not None)]
    low, high = min(values), max(values)
    if axis.is_log:
        room = (high / low) ** 0.05 if high / low > 1.0001 else 1.5
        low, high = low / room, high * room
    else:
        room = 0.06 * (high - low) if high - low > 1e-9 * max(abs(high), 1e-9) else max(abs(high) * 0.05, 1e-6)
        low, high = (0.0 if 0 <= low <= room else low - room), high + room
    low = axis.low if axis.low is not None else low
    high = axis.high if axis.high is not None else high
    if not high > low:
        low, high = (low / 1.5, low * 1.5) if axis.is_log else (low - 1.0, low + 1.0)
    return Scale(low, high, start, end, axis.is_log)


def round_values(scale: Scale, most: int) -> list[float]:
    """About `most` round values on a scale."""
    return log_ticks(scale.low, scale.high, most) if scale.is_log else ticks(scale.low, scale.high, most)
