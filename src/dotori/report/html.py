"""The report of a run: one static HTML file, no script, no network, readable on a phone. Reads the run folder only."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from dotori.config import settings
from dotori.files import atomic_folder
from dotori.report.facts import Curve, RunFacts, StageFacts, read_run
from dotori.report.scores import evaluation_charts, headline
from dotori.report.svg import Bar, Node, Series, bar_chart, graph, line_chart, short

_CSS = Path(__file__).with_name("page.css")
_SAMPLES_SHOWN = 9
_HASH = re.compile("[0-9a-f]{64}")


@settings
class ReportSettings:
    """title: heading of the page; empty takes the recipe's name."""

    title: str = ""


def write_report(report: ReportSettings, folder: Path, out: Path) -> None:
    """Stage: the run folder `folder` to a folder with report.html. Raises UserError when `folder` is no run folder."""
    page = render(read_run(folder), report.title)
    with atomic_folder(out) as temporary:
        (temporary / "report.html").write_text(page, encoding="utf-8")


def render(run: RunFacts, title: str = "") -> str:
    """The page as text."""
    heading = title or run.name
    sections = [
        f"<h1>{escape(heading)}</h1>",
        f'<p class="soft">{escape(_subtitle(run))}</p>',
        _tiles(run),
        _transcript(run),
        _lineage(run),
        _learning(run.curves),
        _samples(run.curves),
        _evaluation(run),
        _sizes_and_times(run),
        _proofs(run),
        _data(run),
        _recipe(run),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{_CSS.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def duration(seconds: float) -> str:
    """`42 s`, `6 min 12 s`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes for people, in powers of ten: `1.32 MB`."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:.0f} B"


def _subtitle(run: RunFacts) -> str:
    parts = []
    metrics = [stage.document.get("metrics", {}) for stage in run.stages]
    if parameters := next((m["parameters"] for m in metrics if m.get("parameters")), None):
        parts.append(f"{short(parameters)} parameters")
    if run.curves:
        parts.append(f"{short(max(x for curve in run.curves for x, _ in curve.loss or [(0, 0)]))} tokens seen")
    parts.append(f"{duration(sum(stage.seconds for stage in run.stages))} in all")
    memory = [stage.peak_memory_bytes for stage in run.stages if stage.peak_memory_bytes]
    if memory:
        parts.append(f"{size(max(memory))} of memory at most")
    return " · ".join(parts)


def _tiles(run: RunFacts) -> str:
    tiles = headline(run)
    files = {name: count for stage in run.of_kind("export") for name, count in stage.models.items()}
    if files:
        name, count = min(files.items(), key=lambda item: item[1])
        tiles.append((size(count), name))
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in tiles
    )
    return f'<div class="tiles">{cells}</div>' if tiles else ""


def _transcript(run: RunFacts) -> str:
    found = next((s.document["transcript"] for s in run.stages if s.document.get("transcript")), None)
    if not found:
        return ""
    turns = "".join(
        f'<div class="{"user" if turn["role"] == "user" else "assistant"}">{escape(turn["content"])}</div>'
        for turn in found["turns"]
    )
    words = f"Word for word what {found['model']} answers, greedily; questions it has not seen."
    return _section("A conversation with the shipped file", words, f'<div class="chat">{turns}</div>')


def _lineage(run: RunFacts) -> str:
    nodes = [
        Node(stage.name, f"{stage.kind} · {duration(stage.seconds)}", stage.parents)
        for stage in run.stages
        if stage.kind != "report"
    ]
    if not nodes:
        return ""
    rows = "".join(
        f"<tr><td>{escape(s.name)}</td><td>{escape(', '.join(s.parents) or 'text')}</td>"
        f'<td class="n">{size(s.bytes)}</td><td><code>{escape(s.output[:12])}</code></td></tr>'
        for s in run.stages
        if s.kind != "report"
    )
    table = _table(["folder", "made from", "#size", "SHA-256"], rows)
    words = "Each box is a folder, made by one stage from those above it; when one changes, those below are made anew."
    return _section("How it came to be", words, _grid([graph("From text to file", nodes), table]))


def _learning(curves: list[Curve]) -> str:
    if not curves:
        return ""
    bands = [(curve.start, curve.stage) for curve in curves] if len(curves) > 1 else []
    loss = [Series(curve.stage, curve.loss, i % 6) for i, curve in enumerate(curves)]
    rate = [Series(curve.stage, curve.rate, i % 6) for i, curve in enumerate(curves)]
    languages = sorted({language for curve in curves for language in curve.bits_per_byte})
    bits = [
        Series(language, [point for curve in curves for point in curve.bits_per_byte.get(language, [])], i % 6)
        for i, language in enumerate(languages)
    ]
    charts = [
        line_chart("Training loss", loss, "tokens seen", "nats per token", bands),
        line_chart("Held-out text", bits, "tokens seen", "bits per byte", bands),
        line_chart("Learning rate", rate, "tokens seen", "", bands),
    ]
    speeds = [
        f"{curve.stage}: {short(curve.tokens_per_second)} tokens/s"
        + (f", {curve.skipped} bad step{'s' * (curve.skipped > 1)} skipped" if curve.skipped else "")
        for curve in curves
        if curve.tokens_per_second
    ]
    return _section("Learning", "; ".join(speeds), _grid(charts))


def _samples(curves: list[Curve]) -> str:
    samples = [(curve.stage, sample) for curve in curves for sample in curve.samples]
    if not samples:
        return ""
    count = min(len(samples), _SAMPLES_SHOWN)
    shown = [samples[round(i * (len(samples) - 1) / max(count - 1, 1))] for i in range(count)]
    cells = "".join(
        f'<div class="sample"><div class="soft">{escape(stage)}, step {escape(str(sample["step"]))}</div>'
        f"<b>{escape(sample['prompt'])}</b>{escape(sample['text'])}</div>"
        for stage, sample in shown
    )
    words = "Prompt in bold, its continuation after it."
    return _section("Samples while training", words, f'<div class="samples">{cells}</div>')


def _evaluation(run: RunFacts) -> str:
    charts = evaluation_charts(run)
    if not charts:
        return ""
    words = "Grey bars are baselines that know nothing; whiskers are 95 % intervals."
    return _section("Evaluation", words, _grid(charts))


def _sizes_and_times(run: RunFacts) -> str:
    stages = [stage for stage in run.stages if stage.kind != "report"]
    files = [
        Bar(f"{stage.name}/{name}", count, text=size(count))
        for stage in stages
        for name, count in sorted(stage.models.items())
    ]
    times = [Bar(stage.name, stage.seconds, text=duration(stage.seconds)) for stage in stages]
    memory = [(stage.name, stage.peak_memory_bytes) for stage in stages if stage.peak_memory_bytes]
    charts = [
        bar_chart(title, bars, max(bar.value for bar in bars))
        for title, bars in (
            ("Weights on disk", files),
            ("Wall time", times),
            ("Peak memory of the process", [Bar(name, count, text=size(count)) for name, count in memory]),
        )
        if bars
    ]
    return _section("Sizes and times", "", _grid(charts)) if charts else ""


def _proofs(run: RunFacts) -> str:
    rows = "".join(_proof(stage, proof) for stage in run.stages for proof in stage.proofs)
    if not rows:
        return ""
    words = "What each stage checked before its folder got its name. A failed proof is an error and leaves no folder."
    return _section("Proofs", words, _table(["stage", "proof", "#figure", "#limit", "", "how"], rows))


def _proof(stage: StageFacts, proof: dict[str, Any]) -> str:
    mark = '<td class="yes">held</td>' if proof.get("passed") else '<td class="no">failed</td>'
    value, limit = (_figure(proof.get(key)) for key in ("value", "threshold"))
    name = escape(str(proof.get("name", "")).replace("_", " "))
    return (
        f'<tr><td>{escape(stage.name)}</td><td class="name">{name}</td>{value}{limit}{mark}'
        f'<td class="soft">{escape(str(proof.get("how", "")))}</td></tr>'
    )


def _figure(value: Any) -> str:
    """A cell: numbers stand in one line at the right, words wrap."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="n">{short(value)}</td>'
    text = str(value)
    return f'<td class="words">{escape(text[:12] if _HASH.fullmatch(text) else text)}</td>'


def _data(run: RunFacts) -> str:
    rows = []
    for stage in run.of_kind("data"):
        for name, domain in stage.document.get("domains", {}).items():
            dropped = ", ".join(f"{reason} {count:,}" for reason, count in domain["dropped"].items() if count)
            for split, part in domain["splits"].items():
                rows.append(
                    f'<tr><td>{escape(name)}</td><td>{escape(split)}</td><td class="n">{part["documents"]:,}</td>'
                    f'<td class="n">{short(part["tokens"])}</td><td class="n">{size(part["bytes"])}</td>'
                    f'<td class="soft">{escape(dropped or "nothing") if split == "train" else ""}</td></tr>'
                )
    if not rows:
        return ""
    return _section(
        "Data", "", _table(["domain", "split", "#documents", "#tokens", "#text", "left out"], "".join(rows))
    )


def _recipe(run: RunFacts) -> str:
    text = f"<details><summary>every setting of this run</summary><pre>{escape(run.recipe)}</pre></details>"
    words = (
        "<footer>Made by Dotori from the files of the run folder. <code>dotori verify</code> recomputes the proofs; "
        "<code>dotori inspect</code> prints how each folder came to be.</footer>"
    )
    return _section("Recipe", "", text + words)


def _section(title: str, words: str, body: str) -> str:
    note = f'<p class="note">{escape(words)}</p>' if words else ""
    return f"<h2>{escape(title)}</h2>{note}{body}"


def _grid(cells: list[str]) -> str:
    return f'<div class="grid">{"".join(cells)}</div>'


def _table(heads: list[str], rows: str) -> str:
    """A table from its ready rows; `#` marks a column of numbers."""
    cells = "".join(f'<th class="n">{h[1:]}</th>' if h.startswith("#") else f"<th>{h}</th>" for h in heads)
    return f'<div class="scroll"><table><tr>{cells}</tr>{rows}</table></div>'
