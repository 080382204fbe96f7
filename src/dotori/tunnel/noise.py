"""How far two runs differ by chance, known from runs that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Iterable

# Student's t, two-sided 95 %, at 1, 2, ... degrees of freedom; beyond, a series within 0.1 %.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_NORMAL = 1.96
# Where no seed was repeated.
_UNKNOWN = 0.01


def seed_noise(groups: Iterable[list[float | None]]) -> float:
    """Spread between seeds in bits per byte, pooled over groups with two and more; 0.01 where none has.

    1.96 times it hold 19 of 20 runs: the standard deviation, widened by Student's t where few seeds tell it. Groups
    with a None (a run that diverged) do not count.
    """
    squares, degrees = 0.0, 0
    for group in groups:
        values = [value for value in group if value is not None]
        if len(values) > 1 and len(values) == len(group):
            mean = sum(values) / len(values)
            squares += sum((value - mean) ** 2 for value in values)
            degrees += len(values) - 1
    if not degrees:
        return _UNKNOWN
    series = _NORMAL + 2.372 / degrees + 2.823 / degrees**2 + 2.56 / degrees**3
    student = _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else series
    return student / _NORMAL * float(squares / degrees) ** 0.5


def chance(noise: float, runs: int = 1) -> float:
    """The difference that the means of `runs` runs each stay within in 19 of 20 cases, with `noise` of seed_noise."""
    return _NORMAL * (2 / runs) ** 0.5 * noise
