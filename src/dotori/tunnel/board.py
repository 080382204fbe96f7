"""The board of a sweep: what runs, each with its curve so far, what is done, and when all will be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dotori.runlog import RunLog
from dotori.tunnel.job import Job, Result, curve

_BARS = "▁▂▃▄▅▆▇█"
_LATEST = 6


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """The values as bars of eight heights, at most `width` of them, means of equal runs.

    The full height is that after an eighth of the curve: what falls at the very start would flatten all the rest.
    """
    if not values:
        return ""
    count = min(width, len(values))
    step = len(values) / count
    cells = [values[int(i * step) : max(int((i + 1) * step), int(i * step) + 1)] for i in range(count)]
    means = [sum(cell) / len(cell) for cell in cells]
    low, high = min(means), max(means[count // 8 :])
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[min(round((value - low) * scale), len(_BARS) - 1)] for value in means)


class Board:
    """Live on a terminal; on a pipe, a line every half minute.

    `expected`: the seconds that each run to be waited for should take, by id; others count for nothing in what is left.
    `finished`: runs that were there before.
    """

    def __init__(self, log: RunLog, title: str, runs: Path, expected: Mapping[str, float]) -> None:
        self.log, self.title, self.runs, self.expected = log, title, runs, expected
        self.finished, self.done_seconds, self.counts = 0, 0.0, {"done": 0, "diverged": 0, "pruned": 0}
        self.latest: list[str] = []
        self._began = self._said = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Board:
        if self.log.console.is_terminal and not self.log.quiet:
            self._live = Live(console=self.log.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if kind is None and any(self.counts.values()):
            self.log.say(f"{self.title}: {self._counted()} in {_clock(time.monotonic() - self._began)}")

    def done(self, job: Job, result: Result) -> None:
        """Notes a finished run."""
        self.counts[result.status] += 1
        self.done_seconds += self.expected.get(job.id, 0.0)
        words = f"{result.score:.4f} bits per byte" if result.status == "done" else result.status
        losses = [loss for _, loss in curve(self.runs, job.id)]
        self.latest = [*self.latest, f"{sparkline(losses, 16)}  {job.label}: {words}"][-_LATEST:]

    def show(self, running: Sequence[Job], left: int) -> None:
        """Draws the state: what runs now, and how many runs are not finished."""
        head = f"{self.title}: {self._counted()}, {left} left{self._ending()}"
        if self._live is None:
            if time.monotonic() - self._said > 30:
                self._said = time.monotonic()
                self.log.say(head)
            return
        table = Table.grid(padding=(0, 2))
        for job in running:
            losses = [loss for _, loss in curve(self.runs, job.id)]
            share = len(losses) / max(1, job.settings.total_steps or 1)
            shown = f"{losses[-1]:.3f}" if losses else ""
            label = Text(job.label, no_wrap=True, overflow="ellipsis")
            table.add_row(Text(sparkline(losses)), Text(f"{share:.0%}"), Text(shown), label)
        self._live.update(Group(Text(head), table, *(Text(line, style="dim") for line in self.latest)))

    def _counted(self) -> str:
        parts = [f"{self.counts['done']} runs"]
        parts += [f"{count} {name}" for name, count in self.counts.items() if count and name != "done"]
        parts += [f"{self.finished} kept"] if self.finished else []
        return ", ".join(parts)

    def _ending(self) -> str:
        spent = time.monotonic() - self._began
        if self.done_seconds <= 0:
            return ""
        left = sum(self.expected.values()) - self.done_seconds
        return f", about {_clock(spent * left / self.done_seconds)} to go"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d}"
