"""Bad steps: what is not finite, or stands far above the steps before it, must not reach the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

# As OLMo-core's SkipStepOptimizer: the last 128 good steps, 6 standard deviations, silent for the first 64.
WINDOW, SIGMAS, SILENT = 128, 6.0, 64
# Three bad steps in twenty are no accident: skipping on would hide a broken run.
MOST_SKIPS, SKIP_SPAN = 3, 20


@dataclass
class Window:
    """Loss and gradient norm of the latest good steps, newest last; part of the checkpoint."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    def judge(self, loss: float, norm: float) -> str | None:
        """Why this step must not be applied, or None. Finiteness comes first: one NaN would poison the window."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the gradient norm is {norm}"
        limits = {"loss": (loss, _limit(self.losses)), "gradient norm": (norm, _norm_limit(self.norms))}
        for name, (value, limit) in limits.items():
            if value > limit:
                steps = len(self.losses)
                return f"the {name} is {value:.4g}, above {limit:.4g} ({SIGMAS:g} sigma over {steps} steps)"
        return None

    def add(self, loss: float, norm: float) -> None:
        """Remembers a good step."""
        self.losses = [*self.losses, loss][-WINDOW:]
        self.norms = [*self.norms, norm][-WINDOW:]


def _limit(history: Sequence[float]) -> float:
    if len(history) < SILENT:
        return math.inf
    mean = math.fsum(history) / len(history)
    variance = math.fsum((value - mean) ** 2 for value in history) / len(history)
    # A nearly constant history (a memorised set) would make any breath a spike, hence the tenth of the mean.
    return mean + max(SIGMAS * math.sqrt(variance), 0.1 * mean)


def _norm_limit(history: Sequence[float]) -> float:
    """Norms spread by factors, not by differences: measured on their logarithms, or a harmless tail is cut off."""
    if len(history) < SILENT:
        return math.inf
    logs = [math.log(max(norm, 1e-30)) for norm in history]
    mean = math.fsum(logs) / len(logs)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in logs) / len(logs))
    return math.exp(mean + max(SIGMAS * spread, 0.1))


def too_many(skipped_steps: Sequence[int], step: int) -> bool:
    """Whether `step`, about to be skipped, would be the third in twenty."""
    return 1 + sum(step - earlier < SKIP_SPAN for earlier in skipped_steps) >= MOST_SKIPS
