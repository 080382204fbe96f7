"""The page of a wind tunnel: one static HTML file of its folder, without script or network, readable on a phone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import dotori.report
from dotori.errors import UserError
from dotori.files import atomic_write, read_json, to_json
from dotori.report.html import duration
from dotori.tunnel.page.advice import Advice, advice
from dotori.tunnel.page.appendix import RunRow, appendix, read_runs
from dotori.tunnel.page.chapters import ASKED, section
from dotori.tunnel.page.findings import Finding, findings, verdict
from dotori.tunnel.page.limits import limits
from dotori.tunnel.page.shapes import read_chapters
from dotori.tunnel.page.words import count, listing, plural

FILE = "index.html"
_TITLE = "What many small training runs say about a large one"
_SHEETS = (Path(dotori.report.__file__).with_name("page.css"), Path(__file__).with_name("page.css"))
_MARKS = {"good": "✓ as expected", "bad": "✗ not as expected", "open": ""}


def write_page(folder: Path) -> Path:
    """Writes FOLDER/index.html from the chapters and runs in it; raises UserError naming a file it cannot read."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; the folder of a wind tunnel is needed; run `dotori tunnel` first")
    settings = folder / "settings.json"
    given = read_json(settings, "wind tunnel") if settings.exists() else {}
    path = folder / FILE
    atomic_write(path, render(read_chapters(folder), read_runs(folder), given, folder.as_posix()))
    return path


def render(
    chapters: Mapping[str, Mapping[str, Any]], runs: list[RunRow], settings: Mapping[str, Any], place: str
) -> str:
    """The page as text. `place`: how the folder is called in the commands it names."""
    commands = {name: _command(name, settings, place) for name in ASKED}
    known = {run.id for run in runs}
    parts = [
        f"<h1>{_TITLE}</h1>",
        f'<p class="soft">{escape(_subtitle(chapters))}</p>',
        f'<p class="verdict">{escape(verdict(chapters))}</p>',
        _missing(chapters),
        _advice(advice(chapters)),
        _findings(findings(chapters), known),
        *(section(name, chapters.get(name), commands[name]) for name in ASKED),
        _limits(limits(chapters), chapters),
        f'<section id="runs"><h2>Every run</h2>{appendix(runs)}{_settings(settings)}</section>',
        "<footer>Made by Dotori from the files of this folder; bits per byte measure how well a model guesses held-out "
        f"text, less is better. <code>dotori verify {escape(shlex.quote(place))}</code> recomputes them.</footer>",
    ]
    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in _SHEETS)
    # A figure and its unit stay in one line.
    body = "".join(parts).replace(" %", "\u00a0%")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_TITLE}</title><style>{sheets}</style></head><body><main>{body}</main></body></html>\n"
    )


def _command(name: str, settings: Mapping[str, Any], place: str) -> str:
    source = settings.get("source")
    source = shlex.quote(source) if isinstance(source, str) and source else "SOURCE"
    given = "".join(f" --set {shlex.quote(key)}=VALUE" for key in settings.get("set") or ())
    return f"dotori tunnel {name} {source}{given} --out {shlex.quote(place)}"


def _subtitle(chapters: Mapping[str, Mapping[str, Any]]) -> str:
    runs = {run for chapter in chapters.values() for run in chapter.get("evidence") or ()}
    tokens = sum(chapter.get("tokens") or 0 for chapter in chapters.values())
    seconds = sum(chapter.get("core_seconds") or 0 for chapter in chapters.values())
    parts = ["Dotori's wind tunnel"]
    parts += [plural(len(runs), "run")] if runs else []
    parts += [f"{count(tokens)} tokens"] if tokens else []
    parts += [f"{duration(seconds)} of one core's time"] if seconds else []
    return " · ".join(parts)


def _missing(chapters: Mapping[str, Any]) -> str:
    names = [f'<a href="#{name}">{name}</a>' for name in ASKED if name not in chapters]
    if not names:
        return ""
    return f'<p class="note">Not run: {listing(names)}. Each of these chapters names the command that runs it.</p>'


def _advice(rows: Sequence[Advice]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><td>{escape(row.setting)}</td><td class='value'>{escape(row.value)}</td>"
        f'<td><b class="{row.sureness.replace(" ", "-")}">{row.sureness}</b><br>'
        f'<span class="soft small">{escape(row.reason)}</span></td>'
        f'<td><a href="#{row.anchor}">{row.anchor}</a></td></tr>'
        for row in rows
    )
    heads = "<tr><th>setting</th><th>value</th><th>how sure</th><th>chapter</th></tr>"
    table = f'<div class="scroll"><table class="advice">{heads}{body}</table></div>'
    return f'<section id="settings"><h2>Settings to use</h2>{table}</section>'


def _findings(found: Sequence[Finding], known: set[str]) -> str:
    """One card per chapter: its sentences, each with its mark, the way to the chapter, and the runs behind them."""
    cards = []
    for anchor in dict.fromkeys(one.anchor for one in found):
        own = [one for one in found if one.anchor == anchor]
        lines = "".join(
            f'<li class="{one.mood}">{escape(one.text)} <b class="mark">{_MARKS[one.mood]}</b></li>' for one in own
        )
        runs = list(dict.fromkeys(run for one in own for run in one.evidence))
        cards.append(
            f'<div class="card"><h3><a href="#{anchor}">{escape(ASKED[anchor].question)}</a></h3>'
            f"<ul>{lines}</ul>{_evidence(runs, known)}</div>"
        )
    if not cards:
        return ""
    return f'<section id="findings"><h2>What was found</h2><div class="findings">{"".join(cards)}</div></section>'


def _evidence(runs: Sequence[str], known: set[str]) -> str:
    if not runs:
        return ""
    names = [
        f'<a href="#run-{escape(run, quote=True)}"><code>{escape(run)}</code></a>'
        if run in known
        else f"<code>{escape(run)}</code>"
        for run in runs
    ]
    return f'<details class="evidence"><summary>from {plural(len(runs), "run")}</summary>{" ".join(names)}</details>'


def _limits(sentences: Sequence[str], chapters: Mapping[str, Any]) -> str:
    missing = [name for name in ASKED if name not in chapters]
    lines = [*sentences, *([f"Nothing is known here of what was not run: {listing(missing)}."] if missing else [])]
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    words = "A small tunnel is not the sky. These are the places where its figures end."
    return f'<section id="limits"><h2>What this cannot tell</h2><p class="note">{words}</p><ul>{items}</ul></section>'


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    text = escape(to_json(settings))
    return f"<details><summary>Settings of the tunnel</summary><pre>{text}</pre></details>"
