"""The one logger: metrics as JSON lines into a file, words and one live line for people on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class RunLog:
    """Appends events to `path` (JSON lines, one object with `time` and `kind`) and talks to people on stderr.

    `path` None writes no file; `quiet` says nothing to people. Use as a context manager or call close().
    """

    def __init__(self, path: Path | None = None, quiet: bool = False) -> None:
        self.path = path
        self.quiet = quiet
        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Flushes and closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def event(self, kind: str, **fields: object) -> None:
        """Writes one JSON line; values must be JSON types."""
        if self._file is not None:
            record = {"time": round(time.time(), 3), "kind": kind} | fields
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()

    def say(self, text: str) -> None:
        """One line for people."""
        if not self.quiet:
            self.console.print(text, markup=False)

    @contextmanager
    def progress(self, label: str, total: float | None, unit: str) -> Iterator[Meter]:
        """A live line with share, rate in `unit`/s and time left; on a pipe, a plain line every 30 seconds."""
        meter = Meter(self, label, total, unit)
        try:
            yield meter
        finally:
            meter.stop()


class Meter:
    """The live line of one piece of work; made by RunLog.progress."""

    def __init__(self, log: RunLog, label: str, total: float | None, unit: str) -> None:
        self.log, self.label, self.total, self.unit = log, label, total, unit
        self.done, self.started, self._shown = 0.0, time.monotonic(), time.monotonic()
        self._status = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if not log.quiet and log.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.percentage:3.0f}%"))
            self._bar = Progress(
                *columns, TimeRemainingColumn(), TextColumn("{task.fields[status]}"), console=log.console
            )
            self._task = self._bar.add_task(label, total=total, status="")
            self._bar.start()

    def advance(self, amount: float, status: str = "") -> None:
        """Moves on by `amount` units and shows `status` beside the rate; cheap enough for every record."""
        self.reach(self.done + amount, status)

    def reach(self, done: float, status: str = "") -> None:
        """Stands at `done` units."""
        self.done = done
        self._status = status or self._status
        now = time.monotonic()
        if self._bar is not None and now - self._shown > 0.1:
            self._shown = now
            self._show(self._bar)
        elif self._bar is None and not self.log.quiet and now - self._shown > 30:
            self._shown = now
            share = f"{100 * self.done / self.total:.0f}% " if self.total else f"{_short(self.done)} {self.unit} "
            left = f", {(self.total - self.done) / max(self._rate(), 1e-9):.0f} s left" if self.total else ""
            self.log.say(f"{self.label}: {share}{self._text()}{left}")

    def _rate(self) -> float:
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def _text(self) -> str:
        return f"{_short(self._rate())} {self.unit}/s  {self._status}"

    def _show(self, bar: Progress) -> None:
        assert self._task is not None
        bar.update(self._task, completed=self.done, status=self._text())

    def stop(self) -> None:
        """Ends the live line."""
        if self._bar is not None:
            self._show(self._bar)
            self._bar.stop()
            self._bar = None


def _short(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f}{suffix}"
    return f"{value:.1f}"
