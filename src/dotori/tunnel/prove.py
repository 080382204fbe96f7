"""What `dotori verify` looks at in a tunnel's folder: that the prediction came first, and that figures are the runs'.

The prediction's hash is among the parents of the held-out run and in its address, so that run cannot have been started
before the prediction was written; and the prediction follows from its points alone, none of which is that run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dotori.checkpoint.lineage import FILE, check_files, read_lineage
from dotori.errors import UserError
from dotori.files import read_json, sha256_file, sha256_json
from dotori.train.settings import FREE
from dotori.tunnel.ground import read_chapter
from dotori.tunnel.ladder import PREDICTION, predicted
from dotori.tunnel.settings import CHAPTERS


class Finding(NamedTuple):
    """One thing that was looked at: its name, whether it holds, and what was found."""

    name: str
    holds: bool
    detail: str


def is_tunnel(folder: Path) -> bool:
    """Whether a folder is a tunnel's."""
    return (folder / "runs").is_dir() and (folder / "machine.json").is_file()


def prove(folder: Path) -> Iterator[Finding]:
    """All checks of a tunnel's folder."""
    chapters = {name: read_chapter(folder, name) for name in CHAPTERS}
    evidence = sorted({run for chapter in chapters.values() if chapter for run in chapter["evidence"]})
    problems = [problem for run in evidence if (problem := _run_problem(folder / "runs", run))]
    yield Finding("runs", not problems, "; ".join(problems[:5]) or f"addresses and files of {len(evidence)} runs agree")
    if chapters["ladder"] is not None:
        yield from _ladder(folder, chapters["ladder"])


def _run_problem(runs: Path, run: str) -> str | None:
    """What is wrong with a run, None when nothing is."""
    try:
        asked = read_json(runs / f"{run}.job.json", "run of the tunnel")
        if address(asked) != run:
            return f"{run}: its settings give the address {address(asked)}"
        if (runs / run / FILE).is_file():
            wrong = check_files(runs / run, read_lineage(runs / run).files)
            return f"{run}: {'; '.join(wrong)}" if wrong else None
        return None if (runs / f"{run}.ended.json").is_file() else f"{run}: neither finished nor ended"
    except (UserError, KeyError) as error:
        return f"{run}: {error}"


def address(asked: dict[str, Any]) -> str:
    """The address that follows from a written job."""
    decides = {name: value for name, value in asked["settings"].items() if name not in FREE}
    rest = {name: asked[name] for name in ("data", "init", "kind", "members", "parents", "dotori")}
    return sha256_json({"settings": decides} | rest)[:16]


def _ladder(folder: Path, chapter: dict[str, Any]) -> Iterator[Finding]:
    path, runs = folder / PREDICTION, folder / "runs"
    if not path.is_file():
        yield Finding("prediction", False, f"{PREDICTION} is gone")
        return
    prediction, own_hash = read_json(path, "prediction"), sha256_file(path)
    yield Finding("prediction, hash", own_hash == chapter["prediction"]["file_hash"], own_hash[:16])
    wrong = [point["run"] for point in prediction["points"] if _figures(runs, point["run"]) != point["bits_per_byte"]]
    yield Finding(
        "prediction, points", not wrong, ", ".join(wrong) or f"{len(prediction['points'])} figures are the runs'"
    )
    again = {name: predicted(prediction, name, prediction["n"], prediction["d"]) for name in prediction["languages"]}
    same = all(
        abs(again[name][key] / value - 1) < 1e-6
        for name, figures in prediction["languages"].items()
        for key, value in figures.items()
    )
    yield Finding("prediction, made again", same, "; ".join(f"{k} {v['value']:.4f}" for k, v in again.items()))
    held_out = chapter["held_out"]
    if held_out is None or held_out["status"] != "done":
        return
    run = held_out["run"]
    yield Finding("held-out run, not fitted", run not in {point["run"] for point in prediction["points"]}, run)
    parents = read_lineage(runs / run).parents if (runs / run / FILE).is_file() else {}
    came_first = parents.get("prediction") == own_hash
    words = "the run carries the prediction's hash" if came_first else "the run does not carry the prediction's hash"
    yield Finding("prediction before run", came_first, words)
    yield Finding(
        "held-out run, figures", _figures(runs, run) == held_out["bits_per_byte"], str(held_out["bits_per_byte"])
    )


def _figures(runs: Path, run: str) -> dict[str, float] | None:
    if not (runs / run / FILE).is_file():
        return None
    return read_lineage(runs / run).metrics["bits_per_byte"]
