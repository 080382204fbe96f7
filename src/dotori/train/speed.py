"""Wall time, tokens per second, memory, and the share of what this machine can compute at all."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from dotori.train.resume import Progress


class Clock:
    """Wall time of a run over all its slices; `note()` writes it back into the run's Progress before that is saved."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._elapsed, self._steps, self._seconds = progress.elapsed, progress.timed_steps, progress.timed_seconds
        self._began = self._step_began = self._step_ended = time.monotonic()
        self._first_ended: float | None = None

    def begin_step(self) -> None:
        """Call before a step."""
        self._step_began = time.monotonic()

    def end_step(self) -> None:
        """Call after a step. The first of a slice compiles and warms up, so the mean is taken from its end on."""
        self._step_ended = time.monotonic()
        if self._first_ended is None:
            self._first_ended = self._step_ended
        else:
            self._steps += 1

    def last_step(self) -> float:
        """Seconds of the latest step alone."""
        return self._step_ended - self._step_began

    def elapsed(self) -> float:
        """Seconds since the first step of the first slice began; time between slices does not count."""
        return self._elapsed + time.monotonic() - self._began

    def step_seconds(self) -> float:
        """Mean wall time of a step with its share of validation and saving."""
        return self._timed() / self._steps if self._steps else max(self.last_step(), 1e-6)

    def note(self) -> None:
        """Writes the times into the run's Progress."""
        self._progress.elapsed = self.elapsed()
        self._progress.timed_steps, self._progress.timed_seconds = self._steps, self._timed()

    def _timed(self) -> float:
        return self._seconds + (0.0 if self._first_ended is None else self._step_ended - self._first_ended)


@dataclass(frozen=True)
class Speed:
    """What the figures of a step are measured against.

    flops_per_token: forward and backward; peak: FLOP/s of a large matrix product on this device and precision.
    """

    device: torch.device
    flops_per_token: float
    peak: float

    def figures(self, tokens: int, seconds: float) -> dict[str, float]:
        """tokens_per_second, utilisation (share of the peak) and memory_bytes (resident; on a GPU, its peak)."""
        rate = tokens / max(seconds, 1e-9)
        return {
            "tokens_per_second": round(rate, 1),
            "utilisation": round(rate * self.flops_per_token / self.peak, 4),
            "memory_bytes": memory_bytes(self.device),
        }


def memory_bytes(device: torch.device) -> int:
    """Memory in use: resident bytes of this process, on a GPU the most that was allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def measured_peak(device: torch.device, dtype: torch.dtype, seconds: float = 0.1) -> float:
    """FLOP/s of a large square matrix product: the best of those that fit into `seconds`, after one to warm up."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.full((side, side), 0.5, dtype=dtype, device=device) for _ in range(2))
    torch.mm(a, b)
    best, until = float("inf"), time.monotonic() + seconds
    while best == float("inf") or time.monotonic() < until:
        started = _now(device)
        torch.mm(a, b)
        best = min(best, _now(device) - started)
    return 2 * side**3 / best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
