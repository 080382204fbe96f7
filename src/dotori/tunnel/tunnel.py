"""The tunnel from end to end: chapters in the order in which they serve each other, then the page.

Rates found by the search and the bowls serve the chapters behind them. The held-out run of the ladder, the longest of
all, runs beside the batch sizes and schedules, once its prediction is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dotori.data.build import data_lineage
from dotori.data.loader import read_manifest, validation_languages
from dotori.errors import UserError
from dotori.files import atomic_write, read_json, sha256_json, to_json
from dotori.runlog import RunLog
from dotori.train.identity import settings_json
from dotori.train.lock import locked
from dotori.train.settings import TrainSettings
from dotori.train.stage import device_of
from dotori.tunnel import batch_size, ladder, schedules, search, transfer
from dotori.tunnel.coordinate_check import coordinate_check
from dotori.tunnel.ground import Ground, TooShortError, read_chapter
from dotori.tunnel.job import Job
from dotori.tunnel.ladder import held_out_job, score_held_out
from dotori.tunnel.page.write import write_page
from dotori.tunnel.queue import Queue, open_queue
from dotori.tunnel.settings import CHAPTERS, TunnelSettings, shape

SETTINGS = "settings.json"
_RUN = {
    "check": coordinate_check,
    "search": search.search,
    "transfer": transfer.transfer,
    "ladder": ladder.ladder,
    "batch": batch_size.batch_size,
    "schedules": schedules.schedules,
}
_LENGTH = {
    "search": search.length,
    "transfer": transfer.length,
    "ladder": ladder.length,
    "batch": batch_size.length,
    "schedules": schedules.length,
}


def run_tunnel(
    s: TunnelSettings,
    data: Path,
    folder: Path,
    chapter: str | None,
    log: RunLog,
    stop: Callable[[], str | None],
    source: str = "",
    assignments: Sequence[str] = (),
) -> Path:
    """Runs one chapter, or all, in `folder` on the dataset `data`, and writes the page; returns its path.

    `source` and `assignments` (NAME=VALUE) are what the page's commands name; of the values none is kept.

    Raises Interrupted (everything saved; the same call continues) and UserError, also where another sweep works there.
    """
    if chapter == "page":
        return write_page(folder)
    _check_data(data)
    device_of(s.train)  # refuses a GPU that is not there
    with locked(folder):
        _note(folder, _checked_settings(folder, s, data), source, assignments)
        with open_queue(folder, data, log, stop, s.workers) as queue:
            queue.measure(_measured_shapes(s))
            _check_budget(s, queue, folder, log, chapter)
            for name in [chapter] if chapter else list(_RUN):
                _chapter(s, queue, folder, log, name, chapter is not None)
            _held_out(s, queue, folder, log, chapter)
        return write_page(folder)


def plan_tunnel(
    s: TunnelSettings, data: Path, folder: Path, chapter: str | None, log: RunLog
) -> dict[str, dict[str, float]]:
    """What each chapter would do within the budget: minutes, and tokens of its longest run; trains nothing."""
    _check_data(data)
    device_of(s.train)  # refuses a GPU that is not there
    found: dict[str, dict[str, float]] = {}
    with locked(folder), open_queue(folder, data, log, lambda: None, s.workers) as queue:
        _checked_settings(folder, s, data)
        queue.measure(_measured_shapes(s))
        _check_budget(s, queue, folder, log, chapter)
        for name in [chapter] if chapter else list(_RUN):
            ground = Ground(s, queue, folder, log, chapter is not None, tuned(folder, name))
            found[name] = {"minutes": round(ground.seconds(name) / 60, 1)}
            if name in _LENGTH:
                found[name]["tokens"] = _LENGTH[name](ground)
    return found


def _check_data(data: Path) -> None:
    """Raises UserError for a folder that is no dataset, or one that holds no text back: nothing could be measured."""
    read_manifest(data)
    if not validation_languages(data):
        raise UserError(
            f"{data}: no held-out text; the tunnel measures on documents that no run has seen, and too few were given "
            "to hold any back; add documents (some hundreds, cut long ones), or raise data.validation_share"
        )


def _check_budget(s: TunnelSettings, queue: Queue, folder: Path, log: RunLog, chapter: str | None) -> None:
    """Raises UserError, before anything trains, with the least budget that holds all the chapters asked for."""
    short: list[TooShortError] = []
    for name in [chapter] if chapter else list(_RUN):
        if name in _LENGTH:
            try:
                _LENGTH[name](Ground(s, queue, folder, log, chapter is not None, tuned(folder, name)))
            except TooShortError as error:
                short.append(error)
    if short:
        raise max(short, key=lambda error: error.minutes)


def _chapter(s: TunnelSettings, queue: Queue, folder: Path, log: RunLog, name: str, alone: bool) -> None:
    if name == "check" and not alone and read_chapter(folder, name) is not None:
        return
    ground = Ground(s, queue, folder, log, alone, tuned(folder, name))
    _RUN[name](ground)
    if name == "ladder":
        queue.beside = _held_out_jobs(ground)


def _held_out(s: TunnelSettings, queue: Queue, folder: Path, log: RunLog, chapter: str | None) -> None:
    """Waits for the held-out run and scores it."""
    if chapter not in (None, "ladder"):
        return
    found = read_chapter(folder, "ladder")
    assert found is not None
    [job] = queue.beside
    score_held_out(folder, found, queue.run([job], "held-out run")[job.id])


def _held_out_jobs(ground: Ground) -> list[Job]:
    found = read_chapter(ground.folder, "ladder")
    assert found is not None
    ground = replace(ground, tuned=ground.tuned | found["chosen"])
    return [held_out_job(ground, found["prediction"]["d"], found["prediction"]["file_hash"])]


def tuned(folder: Path, chapter: str) -> dict[str, Any]:
    """What the chapters before this one chose, by name of the setting; rates of the bowls go before the search's."""
    found: dict[str, Any] = {}
    for name in {"check": (), "search": (), "transfer": ("search",)}.get(chapter, ("search", "transfer")):
        earlier = read_chapter(folder, name)
        found |= (earlier or {}).get("chosen") or {}
    return found


def _measured_shapes(s: TunnelSettings) -> list[TrainSettings]:
    heads = sorted({min(s.bowl_heads), max(s.ladder_heads), max(s.bowl_heads)})
    return [replace(s.train, model=shape(s, n, s.bowl_layers), steps=1, tokens=None, minutes=None) for n in heads]


def refuse_changes(folder: Path, changed: Sequence[str]) -> None:
    """Raises UserError where `changed`, names of what differs from before, would be mixed with finished chapters."""
    made = [name for name in CHAPTERS if (folder / f"{name}.json").is_file()]
    if changed and made:
        raise UserError(
            f"{folder}: {', '.join(changed)} changed since the chapters {', '.join(made)} were made there; one "
            "folder holds one tunnel, finished runs are not mixed; choose another --out"
        )


def _checked_settings(folder: Path, s: TunnelSettings, data: Path) -> dict[str, Any]:
    """What settings.json shall hold; refuses a folder whose chapters stand on other data or another base run."""
    # A dataset that was made in the folder moves with it.
    own, place = folder.resolve(), data.resolve()
    where = place.relative_to(own).as_posix() if place.is_relative_to(own) else str(place)
    now: dict[str, Any] = {"data": where, "data_hash": sha256_json(data_lineage(data))}
    now |= {"unit": s.unit, "minutes": s.minutes, "train": settings_json(s.train)}
    now |= {name: list(getattr(s, name)) for name in ("check_widths", "bowl_heads", "batch_sizes", "ladder_heads")}
    path = folder / SETTINGS
    if path.is_file():
        before = read_json(path, "tunnel folder")
        deciding = {"train": "train", "data_hash": "data", "unit": "unit"}
        refuse_changes(folder, [word for name, word in deciding.items() if before.get(name) != now[name]])
    return now


def _note(folder: Path, settings: dict[str, Any], source: str, assignments: Sequence[str]) -> None:
    asked = {"source": source, "set": [word.partition("=")[0] for word in assignments]}
    atomic_write(folder / SETTINGS, to_json(asked | settings))


def chapters_of(words: Sequence[str]) -> tuple[str | None, str]:
    """(chapter or None, source) of the command line's words; raises UserError for anything else."""
    names = (*CHAPTERS, "page")
    if len(words) == 1 and words[0] not in names:
        return None, words[0]
    if len(words) == 2 and words[0] in names:
        return words[0], words[1]
    if len(words) == 1 and words[0] == "page":
        return "page", ""
    raise UserError(
        f"tunnel: {' '.join(words)!r}; [chapter] SOURCE is needed, with a chapter of {', '.join(names)}; correct it"
    )
