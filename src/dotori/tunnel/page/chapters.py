"""The chapters of the page: a question in plain words, how it was asked, the charts, and the figures as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dotori.report.html import duration
from dotori.tunnel.page.charts import batch_charts, batch_prior_rows, bowl_charts, coordinate_charts, search_charts
from dotori.tunnel.page.charts_of_runs import ladder_charts, schedule_charts
from dotori.tunnel.page.verdicts import by_width, edges, effective, foretold, law, tested_flops
from dotori.tunnel.page.words import (
    between,
    bits,
    count,
    figure,
    form_name,
    is_number,
    language,
    numbers,
    percent,
    plural,
    times,
    variant_name,
)

Chapter = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A chapter in words: the question that heads it, why one asks, and how the runs answer."""

    question: str
    why: str
    how: str


ASKED = {
    "check": Asked(
        "Do signals keep their size when the model gets wider?",
        "A wide model adds up more terms than a narrow one. Unless its first weights and learning rates shrink with "
        "the width, the numbers inside it grow, and what was tuned on a narrow model is wrong for a wide one.",
        "Models of several widths train for a few steps, with the width rules (muP, as in MiniCPM) on and off, and the "
        "mean size of each layer's output is taken. Lines that are flat, or fall, are what one wants.",
    ),
    "search": Asked(
        "Which settings suit the smallest model?",
        "If the width rules work, settings can be searched where a run costs seconds, then kept for larger models.",
        "A guided search trains the smallest model again and again with other settings, and stops trials that fall "
        "behind. The best is then compared with the defaults, with fresh seeds.",
    ),
    "transfer": Asked(
        "Does the best learning rate stay where it is as the model grows?",
        "The learning rate is the one setting that ruins a run when it is wrong, and a large model is too dear to try "
        "many. So one asks whether a small model's best rate is also the large one's.",
        "Each width trains with rates that double from point to point. The bottom of each bowl is its best rate; below "
        "the charts the best rates stand with their 95 % intervals, a row per width, and a cross where a run diverged. "
        "Dots one above the other mean: it transfers. A ring there: the bowl has no bottom within the rates tried.",
    ),
    "batch": Asked(
        "How many tokens should one step read?",
        "Small steps learn more from each token, but noise limits them in the end. The best size grows as the model "
        "gets better, and a wrong one wastes tokens.",
        "The same model trains with several batch sizes. For a few losses one reads off how many tokens each size "
        "needed; the lowest point of that curve is the best batch at that loss, and a power law joins them.",
    ),
    "schedules": Asked(
        "When should the learning rate fall?",
        "A cosine schedule must know its length beforehand, so each length is a run of its own. A trunk at a constant "
        "rate from which short decays branch (WSD) gives many lengths for little more than one.",
        "Decays of several lengths branch from one trunk and are compared with separate cosine runs of the same number "
        "of tokens. Then the length and the shape of the decay vary, and instruction data join the decay or wait "
        "until after it.",
    ),
    "ladder": Asked(
        "What would a larger model reach?",
        "Before one pays for a large run one would like to know what it will reach, and how large the model should be "
        "for the compute at hand.",
        "Several sizes train for several lengths. A law is fitted to them: the loss is e, which nothing removes, and "
        "above it what the size leaves (a / parameters^alpha) and what the tokens leave (b / tokens^beta), of which "
        "the larger counts most. Then the law foretells a larger run, the prediction is written down, and only then "
        "is the run made.",
    ),
}


def section(name: str, chapter: Chapter | None, command: str) -> str:
    """A chapter's section; without its figures it says which command makes them."""
    asked = ASKED[name]
    head = f'<section id="{name}"><h2>{escape(asked.question)}</h2>'
    if chapter is None:
        return f"{head}<p class='note'>Not run. <code>{escape(command)}</code> runs it.</p></section>"
    charts, tables = _BODIES[name]
    drawn = "".join(charts(chapter))
    return (
        f"{head}<p>{escape(asked.why)}</p><p>{escape(asked.how)}</p>"
        f'<p class="note">{escape(cost(chapter))}</p><div class="grid charts">{drawn}</div>'
        f"{''.join(tables(chapter))}</section>"
    )


def cost(chapter: Chapter) -> str:
    """`31 runs, 4.1M tokens, 12 min 00 s of one core's time`."""
    parts = []
    if runs := chapter.get("evidence"):
        parts.append(plural(len(set(runs)), "run"))
    if tokens := chapter.get("tokens"):
        parts.append(f"{count(tokens)} tokens")
    if seconds := chapter.get("core_seconds"):
        parts.append(f"{duration(seconds)} of one core's time")
    return ", ".join(parts)


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], is_open: bool = False) -> str:
    """A table that folds away; `#` before a head marks a column of numbers. Cells are escaped."""
    if not rows:
        return ""
    sides = ['class="n"' if head.startswith("#") else "" for head in heads]
    top = "".join(f"<th {side}>{escape(head.removeprefix('#'))}</th>" for head, side in zip(heads, sides, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td {side}>{escape(cell)}</td>' for cell, side in zip(row, sides, strict=True))}</tr>"
        for row in rows
    )
    state = " open" if is_open else ""
    inner = f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
    return f"<details{state}><summary>{escape(title)}</summary>{inner}</details>"


def _check_tables(check: Chapter) -> list[str]:
    rows = []
    for name, variant in check["variants"].items():
        for layer, widths in variant["activations"].items():
            last = [numbers(steps)[-1] for _, steps in by_width(widths) if numbers(steps)]
            slope = (variant.get("slopes") or {}).get(layer) or {}
            ends = (figure(last[0]), figure(last[-1])) if last else ("—", "—")
            interval = between(slope.get("low"), slope.get("high"))
            rows.append((variant_name(name), layer, *ends, figure(slope.get("slope"), 2), interval))
    heads = ["variant", "layer", "#narrowest", "#widest", "#power of width", "#95 % interval"]
    return [table("Mean |activation| of every layer", heads, rows)]


def _search_tables(search: Chapter) -> list[str]:
    keys = list(dict.fromkeys(key for trial in search["trials"] for key in trial["params"]))
    marks = {"default": search.get("default"), "best": search.get("best"), "chosen": search.get("chosen")}
    rows = [
        (name, *(figure((params or {}).get(key)) for key in keys), bits(search.get(f"{name}_bits_per_byte")), "")
        for name, params in marks.items()
        if params
    ]
    trials = sorted(search["trials"], key=lambda trial: trial["number"])
    rows += [
        (str(t["number"]), *(figure(t["params"].get(key)) for key in keys), bits(t["bits_per_byte"]), t["status"])
        for t in trials
    ]
    return [table("Every trial", ["trial", *(f"#{key}" for key in keys), "#bits per byte", "status"], rows)]


def _transfer_tables(transfer: Chapter) -> list[str]:
    rows = []
    for name, variant in transfer["variants"].items():
        at_edge = {float(width): is_edge for width, is_edge in edges(variant).items()}
        interval = dict(by_width(variant.get("interval") or {}))
        for width, best in by_width(variant.get("optimum") or {}):
            low, high = interval.get(width) or (None, None)
            note = "at the end of the rates tried" if at_edge.get(width) else ""
            rows.append((variant_name(name), f"{width:g}", figure(best), between(low, high), note))
    best = table("Best rates", ["variant", "#width", "#best rate", "#95 % interval", ""], rows)
    runs = [
        (
            variant_name(name),
            f"{width:g}",
            figure(rate),
            ", ".join("diverged" if v is None else bits(v) for v in losses),
        )
        for name, variant in transfer["variants"].items()
        for width, bowl in by_width(variant["bowls"])
        for rate, losses in by_width(bowl)
    ]
    return [best, table("Every rate and seed", ["variant", "#width", "#rate", "bits per byte by seed"], runs)]


def _batch_tables(batch: Chapter) -> list[str]:
    rows = [
        (
            str(m["width"]),
            figure(m["loss"]),
            count(m["batch_tokens"]),
            "at the end of the batches tried" * bool(m.get("is_edge")),
        )
        for m in batch.get("minima") or []
    ]
    priors = [(name, value) for name, value in batch_prior_rows(batch)]
    return [
        table("Best batch at each loss", ["#width", "#loss", "#best batch, tokens", ""], rows),
        table("What published laws would say", ["law", "#batch, tokens"], priors),
    ]


def _schedule_tables(schedules: Chapter) -> list[str]:
    cosine = dict(by_width(schedules["cosine"]))
    rows = []
    for tokens, value in by_width(schedules["wsd"]):
        other = cosine.get(tokens)
        apart = "—" if value is None or other is None else figure(round(value - other, 4), 2)
        rows.append((count(tokens), bits(value), bits(other), apart))
    lengths = [(percent(share), bits(value)) for share, value in by_width(schedules.get("decay_lengths") or {})]
    forms = [(form_name(name), bits(value)) for name, value in (schedules.get("forms") or {}).items()]
    mixing = [
        (name, bits(mix.get("answers_bpb")), bits(mix.get("text_bpb")))
        for name, mix in (schedules.get("mixing") or {}).items()
    ]
    return [
        table(
            "Decays from the trunk beside cosine runs", ["#tokens", "#trunk and decay", "#cosine", "#difference"], rows
        ),
        table("Lengths and shapes of the decay", ["decay", "#bits per byte"], [*lengths, *forms]),
        table("Instructions in the decay", ["run", "#answers, bits per byte", "#text, bits per byte"], mixing),
    ]


def _ladder_tables(ladder: Chapter) -> list[str]:
    codes = list(dict.fromkeys(code for point in ladder["points"] for code in point["bits_per_byte"]))
    fits = {code: fit for code, fit in (ladder.get("fits") or {}).items() if fit}
    points = sorted(ladder["points"], key=lambda point: (point["n"], point["d"]))
    rows = []
    for point in points:
        name = f"{figure(point.get('width'))} × {figure(point.get('layers'))}{', again' if point.get('seed') else ''}"
        cells = [name, count(point["n"]), count(point["d"])]
        for code in codes:
            value = point["bits_per_byte"].get(code)
            seen = effective(point["d"], ladder.get("unique_tokens"))
            cells += [bits(value), bits(law(fits[code], point["n"], seen)) if code in fits else "—"]
        rows.append(cells)
    heads = ["width × layers", "#parameters", "#tokens"]
    heads += [head for code in codes for head in (f"#{language(code)}", "#law")]
    laws = [
        (language(code), *(figure(fit[key]) for key in ("e", "a", "alpha", "b", "beta", "gamma")))
        for code, fit in fits.items()
    ]
    told = [
        (language(one.language), bits(one.value), f"{bits(one.low)} to {bits(one.high)}", bits(one.measured),
         {True: "inside", False: "outside", None: "not run"}[one.is_inside],
         bits((ladder["prediction"][one.language] or {}).get("additive")))
        for one in foretold(ladder)
    ]  # fmt: skip
    heads_of_told = ["language", "#foretold", "#95 % interval", "#measured", "", "#a plain sum foretold"]
    rates = (ladder.get("rates") or {}).get("tried") or {}
    tried = [(figure(float(factor)), bits(value)) for factor, value in sorted(rates.items(), key=lambda r: float(r[0]))]
    at = ladder.get("prediction") or {}
    size = (
        f" ({count(at['n'])} parameters, {count(at['d'])} tokens)"
        if is_number(at.get("n")) and is_number(at.get("d"))
        else ""
    )
    return [
        table(f"The prediction{size}", heads_of_told, told, True),
        _budget_table(ladder, codes),
        table("Every run of the fit", heads, rows),
        table("The fitted laws", ["language", "#e", "#a", "#alpha", "#b", "#beta", "#gamma"], laws),
        table("The rate for this length", ["factor of the bowls' rate", "#bits per byte"], tried),
    ]


def _budget_table(ladder: Chapter, codes: Sequence[str]) -> str:
    tested, rows = tested_flops(ladder), []
    for row in ladder.get("budgets") or []:
        low, high = row["good_widths"]
        bands = [row["languages"].get(code) or {} for code in codes]
        rows.append(
            (
                duration(60 * row["minutes"]),
                f"{row['width']} × {row['layers']}",
                str(low) if low == high else f"{low} to {high}",
                count(row["n"]),
                count(row["d"]),
                *(f"{bits(band.get('value'))} ({bits(band.get('low'))} to {bits(band.get('high'))})" for band in bands),
                f"{times(row['flops'] / tested)} the compute tested" if row["flops"] > 1.02 * tested > 0 else "",
            )
        )
    heads = ["time", "width × layers", "widths as good", "#parameters", "#tokens"]
    return table(
        "What to train on this machine alone, by the law",
        [*heads, *(f"#{language(code)}" for code in codes), ""],
        rows,
        True,
    )


_BODIES: dict[str, tuple[Callable[[Chapter], list[str]], Callable[[Chapter], list[str]]]] = {
    "check": (coordinate_charts, _check_tables),
    "search": (search_charts, _search_tables),
    "transfer": (bowl_charts, _transfer_tables),
    "batch": (batch_charts, _batch_tables),
    "schedules": (schedule_charts, _schedule_tables),
    "ladder": (ladder_charts, _ladder_tables),
}
