"""The appendix of the page: every run of the tunnel's folder with what was asked of it and how it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from dotori.files import read_json
from dotori.tunnel.page.shapes import without_nan
from dotori.tunnel.page.words import bits, count, figure, is_number, language

_JOB = ".job.json"
_DIGITS = re.compile("([0-9]+)")
_SHOWN = ("hidden_size", "num_hidden_layers", "lr", "batch_tokens", "schedule", "seed")


@dataclass(frozen=True)
class RunRow:
    """One run: its id, label and status, its settings by name, its tokens, and bits per byte by language."""

    id: str
    label: str
    status: str
    settings: dict[str, Any]
    tokens: float | None
    bits_per_byte: dict[str, float]


def read_runs(folder: Path) -> list[RunRow]:
    """The runs under FOLDER/runs, by label; raises UserError naming a file that is no JSON."""
    runs = folder / "runs"
    found = [_row(runs, path) for path in sorted(runs.glob(f"*{_JOB}"))] if runs.is_dir() else []
    return sorted(found, key=lambda run: (_in_order(run.label), run.id))


def _in_order(label: str) -> list[tuple[int, str]]:
    """A key that puts `run 2` before `run 10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(label)]


def _row(runs: Path, path: Path) -> RunRow:
    run = path.name.removesuffix(_JOB)
    job = without_nan(read_json(path, "run of the tunnel"))
    metrics: dict[str, Any] = {}
    status = "waiting"
    ended = runs / f"{run}.ended.json"
    if (runs / run / "lineage.json").is_file():
        status = "done"
        metrics = without_nan(read_json(runs / run / "lineage.json", "run of the tunnel")).get("metrics") or {}
    elif ended.is_file():
        metrics = without_nan(read_json(ended, "run of the tunnel"))
        status = str(metrics.get("status") or "diverged")
        status += f": {metrics['reason']}" if metrics.get("reason") else ""
    elif (runs / f"{run}.partial").is_dir():
        status = "under way"
    settings = _flat(job.get("settings"))
    scores = metrics.get("bits_per_byte")
    return RunRow(
        run,
        str(job.get("label") or ""),
        status,
        settings,
        metrics["tokens"] if is_number(metrics.get("tokens")) else None,
        {str(k): v for k, v in scores.items() if is_number(v)} if isinstance(scores, dict) else {},
    )


def _flat(settings: Any, before: str = "") -> dict[str, Any]:
    """Nested settings as one level; the shape of the model by its own names."""
    found: dict[str, Any] = {}
    for key, value in settings.items() if isinstance(settings, dict) else ():
        name = key if before in ("", "model.") else f"{before}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def appendix(runs: list[RunRow]) -> str:
    """The table of all runs, folded away; settings that are the same in all runs stand once above it."""
    if not runs:
        return '<p class="note">No runs are in this folder.</p>'
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    same = {name: runs[0].settings.get(name) for name in names}
    same = {name: v for name, v in same.items() if all(run.settings.get(name) == v for run in runs)}
    own = [name for name in _SHOWN if name in names and name not in same]
    rest = [name for name in names if name not in same and name not in own]
    codes = list(dict.fromkeys(code for run in runs for code in run.bits_per_byte))
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("run", "what", "status"))
    heads += "".join(
        f'<th class="n">{escape(h)}</th>' for h in [*own, "tokens", *(f"{language(c)}, bits per byte" for c in codes)]
    )
    heads += "<th>other settings</th>" if rest else ""
    rows = "".join(_line(run, own, rest, codes) for run in runs)
    shared = ", ".join(f"{name} {_value(value)}" for name, value in same.items() if value not in (None, "", []))
    return (
        f'<details id="all-runs"><summary>All {len(runs)} runs</summary>'
        f'<p class="soft small">The same in all of them: {escape(shared) or "nothing"}.</p>'
        f'<div class="scroll"><table class="runs"><tr>{heads}</tr>{rows}</table></div></details>'
    )


def _line(run: RunRow, own: list[str], rest: list[str], codes: list[str]) -> str:
    kind = "yes" if run.status == "done" else "no" if run.status.startswith("diverged") else "soft"
    cells = [
        f"<td><code>{escape(run.id)}</code></td>",
        f'<td class="name">{escape(run.label)}</td>',
        f'<td class="status {kind}">{escape(run.status)}</td>',
    ]
    figures = [_value(run.settings.get(name)) for name in own]
    figures += [count(run.tokens), *(bits(run.bits_per_byte.get(code)) for code in codes)]
    cells += [f'<td class="n">{escape(text)}</td>' for text in figures]
    if rest:
        others = ", ".join(
            f"{name} {_value(run.settings[name])}" for name in rest if run.settings.get(name) is not None
        )
        cells.append(f'<td class="soft small">{escape(others)}</td>')
    return f'<tr id="run-{escape(run.id, quote=True)}">{"".join(cells)}</tr>'


def _value(value: Any) -> str:
    if is_number(value):
        return str(value) if isinstance(value, int) else figure(value)
    return "—" if value is None else str(value)
