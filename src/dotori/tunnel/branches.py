"""WSD branches: one trunk at the full rate, and decays that leave it at chosen token counts.

The trunk is a chain of runs with a constant rate, each going on from the stable checkpoint of the one before. A decay
is a run of its own from such a checkpoint. So one token count more costs its decay alone (MiniCPM, arXiv 2404.06395,
section 4), and the trunk's data order goes on as if it had never been cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dotori.train.settings import TrainSettings
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job

_LEAST_STEPS = 10


class Trunk:
    """The trunk of one size and setting, cut at `cuts` (tokens). Describes runs, makes none."""

    def __init__(
        self,
        ground: Ground,
        heads: int,
        layers: int,
        cuts: Iterable[int],
        label: str,
        changed: Mapping[str, Any] | None = None,
    ) -> None:
        self._ground, self._shape, self._label, self._changed = ground, (heads, layers), label, dict(changed or {})
        self._jobs: dict[int, Job] = {}
        job, start = None, 0
        for end in sorted(set(cuts)):
            words = f"{label}: trunk to {end / 1e6:.2f} M"
            settings = self._settings(end - start, job, {"schedule": "constant", "keep_stable": True})
            job = ground.job(settings, words, init=job)
            self._jobs[end], start = job, end

    def at(self, tokens: int) -> Job:
        """The run whose stable checkpoint is the trunk after `tokens`, which is one of the cuts."""
        return self._jobs[tokens]

    def decayed(self, tokens: int, start: int, changed: Mapping[str, Any] | None = None) -> Job:
        """A run of `tokens` in all that leaves the trunk at the cut `start` and decays to its end."""
        init = self._jobs[start]
        given = {"schedule": "wsd", "decay_share": 1.0} | dict(changed or {})
        form = given.get("decay", self._ground.s.train.decay)
        words = f"{self._label}: {form} decay from {start / 1e6:.2f} to {tokens / 1e6:.2f} M"
        return self._ground.job(self._settings(tokens - start, init, given), words, init=init)

    def _settings(self, tokens: int, init: Job | None, changed: dict[str, Any]) -> TrainSettings:
        if init is not None:  # no phases: the mixture goes on where it was left
            changed = {"model": None, "init_optimizer": True, "warmup_steps": 0, "phases": ()} | changed
        return self._ground.settings(*self._shape, tokens, self._changed | changed)


def whole(tokens: float, batch: int) -> int:
    """The nearest count of whole steps, in tokens; at least ten steps."""
    return max(_LEAST_STEPS, round(tokens / batch)) * batch


def start_of(tokens: int, share: float, batch: int) -> int:
    """Where the decay of a run of `tokens` leaves the trunk when `share` of it decays: at least one step before."""
    return tokens - max(1, round(share * tokens / batch)) * batch
