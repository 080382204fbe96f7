"""Runs a recipe: each stage in order, skipped when nothing that decides it changed, resumed when it was cut."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dotori.errors import Interrupted, UserError
from dotori.files import atomic_write, check_place
from dotori.recipe.plan import check
from dotori.recipe.records import Record, Records
from dotori.recipe.schema import Recipe, Table, to_toml
from dotori.recipe.stages import STAGES, StageKind, StageWork
from dotori.runlog import RunLog
from dotori.train.lock import locked
from dotori.train.stop import stop_requests


@dataclass(frozen=True)
class Outcome:
    """What became of one stage: `action` is made, resumed or unchanged."""

    name: str
    action: str
    folder: Path
    seconds: float


def run_recipe(
    recipe: Recipe, folder: Path, log: RunLog, *, restart: str | None = None, stop_after: float | None = None
) -> list[Outcome]:
    """Makes every stage of `recipe` under `folder` and returns what was done.

    `restart` names a stage: what earlier runs left of it and of all that it feeds is removed ("all": of every stage).
    `stop_after` seconds end the run as soon as the running
    stage can be continued. Raises Interrupted after Ctrl-C, SIGTERM or that time, with what is done kept, and UserError
    when another process works in `folder` or a stage refuses its input.
    """
    end = math.inf if stop_after is None else time.monotonic() + stop_after
    check(recipe, folder)
    if (folder / "recipe.toml").exists() and not (folder / "lock").exists():
        raise UserError(f"{folder}: holds a recipe.toml that no run has written; choose another --out or move it")
    with locked(folder):
        if restart:
            for table in _from(recipe, restart):
                _remove(folder, table.name)
        atomic_write(folder / "recipe.toml", to_toml(recipe))
        records = Records(folder)
        outcomes = []
        for table in recipe.tables:
            if time.monotonic() >= end:
                raise Interrupted(f"{recipe.name}: the time slice of {stop_after:g} s is over, before {table.name}")
            outcomes.append(_stage(table, recipe, folder, records, log, end))
    return outcomes


def outdated(recipe: Recipe, folder: Path) -> list[str]:
    """The stages that were begun in `folder` with other settings, inputs or sources: a run would make them anew."""
    records, found = Records(folder), []
    for table in recipe.tables:
        record = records.stages.get(table.name)
        if record is None:
            continue
        files = STAGES[table.kind].files(table.settings)
        if record.fingerprint != records.fingerprint(table, input_folders(table, folder), files):
            found.append(table.name)
    return found


def _from(recipe: Recipe, name: str) -> list[Table]:
    """The table of that name and all that it feeds, directly or not; every table for "all"."""
    if name == "all":
        return list(recipe.tables)
    found = {recipe.table(name).name}
    for table in recipe.tables:
        if found & set(table.parents):
            found.add(table.name)
    return [table for table in recipe.tables if table.name in found]


def _stage(table: Table, recipe: Recipe, folder: Path, records: Records, log: RunLog, end: float) -> Outcome:
    spec, out = STAGES[table.kind], folder / table.name
    inputs = input_folders(table, folder)
    fingerprint = records.fingerprint(table, inputs, spec.files(table.settings))
    record = records.stages.get(table.name)
    if record is not None and record.fingerprint != fingerprint:
        record = None
    if record is not None and _is_whole(table.name, record, folder, records, log):
        log.say(f"{table.name}: unchanged, kept")
        return Outcome(table.name, "unchanged", out, 0.0)
    if record is not None and record.output is not None:
        record = None
    if record is None:
        _set_aside(out)
    log.say(f"{table.name}: {'resumed' if record else 'started'}")
    order = [one.name for one in recipe.tables]
    seconds, started = record.seconds if record else 0.0, time.monotonic()
    _reset_peak_memory()

    def note(output: str | None) -> float:
        total = round(seconds + time.monotonic() - started, 3)
        records.write(table.name, Record(table.kind, fingerprint, output, total, _peak_memory(), table.parents), order)
        return total

    note(None)
    try:
        # A run that was killed between making the folder and noting it finds it here.
        if record is None or not out.exists() or _partial(out).exists():
            _work(spec, StageWork(table.settings, inputs, out, log, lambda: None), folder, end)
    except Interrupted:
        note(None)
        raise
    except KeyboardInterrupt:
        note(None)
        raise Interrupted(f"{table.name}: stopped by Ctrl-C; what is finished stays") from None
    total = note(records.content(out))
    shutil.rmtree(_previous(out), ignore_errors=True)
    log.say(f"{table.name}: done in {total:.1f} s")
    return Outcome(table.name, "resumed" if record else "made", out, total)


def _work(spec: StageKind, work: StageWork, folder: Path, end: float) -> None:
    """Calls the stage with a log of its own and a way to learn that it should stop."""
    with (
        RunLog(folder / "logs" / f"{work.out.name}.jsonl", quiet=work.log.quiet) as log,
        _stopping(spec, end) as stop,
    ):
        spec.run(replace(work, log=log, stop=stop))
    if not work.out.is_dir():
        raise RuntimeError(f"stage {work.out.name} ended without its folder {work.out}")


def _is_whole(name: str, record: Record, folder: Path, records: Records, log: RunLog) -> bool:
    """Whether a stage is finished and its folder as it was left; says what is wrong with a finished one."""
    if record.output is None:
        return False
    if not (folder / name).exists():
        log.say(f"{name}: its folder is gone; made anew")
        return False
    if records.content(folder / name) != record.output:
        log.say(f"{name}: its files were altered; made anew")
        return False
    return True


def _partial(out: Path) -> Path:
    return out.parent / f"{out.name}.partial"


def _previous(out: Path) -> Path:
    return out.parent / f"{out.name}.previous"


def _set_aside(out: Path) -> None:
    """Keeps an outdated folder until the new one is made; raises UserError for one that is not ours."""
    check_place(out)
    if out.exists():
        shutil.rmtree(_previous(out), ignore_errors=True)
        os.rename(out, _previous(out))


@contextmanager
def _stopping(spec: StageKind, end: float) -> Iterator[Callable[[], str | None]]:
    """Signals reach a stage that asks for them as a reason to save and end, any other as KeyboardInterrupt at once."""
    if not spec.asks_stop:
        yield lambda: None
        return
    left = None if end == math.inf else max(0.0, end - time.monotonic())
    with stop_requests(left) as stop:
        yield stop


def run_table(
    recipe: Recipe, table: Table, given: dict[str, list[Path]], out: Path, log: RunLog, stop_after: float | None = None
) -> None:
    """Makes the folder `out` of one table alone; `given` are its input folders by input name.

    An input that is not given is the folder of that table beside `out`. Raises UserError when there is none, and what
    the stage raises.
    """
    spec, inputs = STAGES[table.kind], input_folders(table, out.absolute().parent) | given
    for name, folders in inputs.items():
        for folder in folders:
            if not folder.exists():
                raise UserError(
                    f"{recipe.name} [{table.name}]: {name} is to be {folder}, which is not there; "
                    f"make it first or name another with --{name}"
                )
    with _stopping(spec, math.inf if stop_after is None else time.monotonic() + stop_after) as stop:
        spec.run(StageWork(table.settings, inputs, out, log, stop))


def input_folders(table: Table, folder: Path) -> dict[str, list[Path]]:
    """The folders behind a table's inputs, those of the run below `folder`."""
    return {
        name: [folder / place if isinstance(place, str) else place for place in places]
        for name, places in table.inputs.items()
    }


def _remove(folder: Path, name: str) -> None:
    """Removes a stage's folder, its log and whatever an unfinished run of it left beside."""
    check_place(folder / name)
    for path in (folder / name, _partial(folder / name), _previous(folder / name)):
        if path.is_dir():
            shutil.rmtree(path)
    (folder / "logs" / f"{name}.jsonl").unlink(missing_ok=True)


def _reset_peak_memory() -> None:
    """Makes the kernel count this process's peak anew, where it can."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def _peak_memory() -> int | None:
    try:
        text = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return None
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:")), None)
