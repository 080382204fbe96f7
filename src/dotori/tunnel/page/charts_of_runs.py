"""The charts of the chapters on schedules and on the ladder of sizes, each with a sentence that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from dotori.tunnel.page.axes import Axis, ramps
from dotori.tunnel.page.plot import Area, Item, Line, Mark, Row, Spot, plot, rows
from dotori.tunnel.page.verdicts import by_width, chance, comparison, effective, foretold, law, near_best
from dotori.tunnel.page.words import (
    between,
    bits,
    count,
    figure,
    flops,
    form_name,
    is_number,
    language,
    listing,
    percent,
    times,
)

# How many tokens a parameter others advise, for the eye: Hoffmann et al. 2022, and MiniCPM's average fit.
_ADVISED = ((20.0, "Chinchilla 20"), (192.0, "MiniCPM 192"))
_MIXES = {
    "A-1": "A-1: text decay, then instructions",
    "A-2": "A-2: instructions in the decay, then more",
    "B-1": "B-1: text decay, then instructions",
    "B-2": "B-2: text decay, then twice the instructions",
    "B-3": "B-3: instructions in the decay, then more",
}


def schedule_charts(schedules: Mapping[str, Any]) -> list[str]:
    """The trunk with its decays beside the cosine runs; lengths and shapes of the decay; where instructions go."""
    noise = schedules.get("noise")
    charts = [
        _trunk(schedules),
        _choices(
            "How long the decay is",
            {f"last {percent(float(k))} of the run": v for k, v in (schedules.get("decay_lengths") or {}).items()},
            noise,
        ),
        _choices("The shape of the decay", {form_name(k): v for k, v in (schedules.get("forms") or {}).items()}, noise),
    ]
    mixing = schedules.get("mixing") or {}
    for key, title, spread in (
        ("answers_bpb", "Answers to instructions", schedules.get("mixing_noise")),
        ("text_bpb", "Plain text, after the same runs", noise),
    ):
        charts.append(_choices(title, {_MIXES.get(name, name): mix.get(key) for name, mix in mixing.items()}, spread))
    return [chart for chart in charts if chart]


def _trunk(schedules: Mapping[str, Any]) -> str:
    trunk = [(x, y) for x, y in schedules.get("trunk") or [] if y is not None]
    share = schedules.get("decay_share") or 0.1
    items: list[Item] = [Line(trunk, "var(--c5)", "trunk at the full rate")]
    wsd = [(tokens, value) for tokens, value in by_width(schedules["wsd"]) if value is not None]
    for i, (tokens, value) in enumerate(wsd):
        branch = (1 - share) * tokens
        start = _at(trunk, branch)
        label = "decay from the trunk" if i == 0 else ""
        if start is not None:
            items.append(Line([(branch, start), (tokens, value)], "var(--c0)"))
        items.append(Spot(tokens, value, "var(--c0)", label=label))
    cosine = [(tokens, value) for tokens, value in by_width(schedules["cosine"]) if value is not None]
    items += [
        Spot(tokens, value, "var(--c2)", "frame", label="separate cosine run" if i == 0 else "")
        for i, (tokens, value) in enumerate(cosine)
    ]
    ends = [value for _, value in wsd + cosine]
    shown = [y for x, y in trunk if ends and x >= 0.3 * min(t for t, _ in wsd + cosine)]
    high = max([*shown, *ends]) + 0.02 if ends else None
    reading = f"{comparison(schedules)}."
    x, y = Axis("tokens read"), Axis("bits per byte", high=high)
    return plot("One trunk with decays, and separate cosine runs", items, x, y, reading, height=260)


def _at(points: Sequence[tuple[float, float]], x: float) -> float | None:
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1 and x1 > x0:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1] if points and x >= points[-1][0] else None


def _choices(title: str, values: Mapping[str, float | None], noise: float | None) -> str:
    found = near_best(values, noise)
    if found is None:
        return ""
    best, near, _ = found
    limit = (chance(noise) or 0.0) / 2
    given = [
        Row(
            label,
            value,
            value - limit if noise else None,
            value + limit if noise else None,
            bits(value),
            "var(--c1)" if label in near else "var(--c5)",
        )
        for label, value in values.items()
        if value is not None
    ]
    others = [label for label in near if label != best]
    reading = f"Lowest: {best}"
    if not noise:
        reading += "; no seed was repeated, so small differences mean nothing."
    elif others:
        reading += f"; {listing(others)} may be as good, as far as chance tells."
    else:
        reading += "; all others are worse by more than chance can make."
    return rows(title, given, Axis("bits per byte (less is better)"), reading)


def ladder_charts(ladder: Mapping[str, Any]) -> list[str]:
    """Loss against compute per language with the fitted law and what it foretold; then tokens per parameter."""
    codes = list(dict.fromkeys(code for point in ladder["points"] for code in point["bits_per_byte"]))
    return [chart for chart in [*(_rungs(ladder, code) for code in codes), _test(ladder), _ratios(ladder)] if chart]


def _rungs(ladder: Mapping[str, Any], code: str) -> str:
    sizes = sorted({point["n"] for point in ladder["points"]})
    fit = (ladder.get("fits") or {}).get(code)
    items: list[Item] = []
    band = [row for row in (ladder.get("band") or {}).get(code) or [] if None not in row]
    if band:
        items.append(Area([(x, low, high) for x, _, low, high in band], "var(--c5)", "95 % band of the best"))
        items.append(Line([(x, mid) for x, mid, _, _ in band], "var(--c5)", is_dashed=True))
    for n, colour in zip(sizes, ramps(len(sizes)), strict=True):
        runs = sorted(
            (p["d"], p["bits_per_byte"][code])
            for p in ladder["points"]
            if p["n"] == n and p["bits_per_byte"].get(code) is not None
        )
        if not runs:
            continue
        if fit and runs[-1][0] > runs[0][0]:
            steps = [runs[0][0] * (runs[-1][0] / runs[0][0]) ** (i / 16) for i in range(17)]
            items.append(
                Line([(6 * n * d, law(fit, n, effective(d, ladder.get("unique_tokens")))) for d in steps], colour)
            )
        label = f"{count(n)} parameters"
        items += [Spot(6 * n * d, y, colour, label=label if i == 0 else "") for i, (d, y) in enumerate(runs)]
    reading = "Lines are the fitted law, points the runs." if fit else "Points are the runs; no law was fitted."
    told = next((one for one in foretold(ladder) if one.language == code), None)
    compute = (ladder.get("prediction") or {}).get("flops")
    marks = []
    if told and is_number(compute):
        items.append(Spot(compute, told.value, "var(--ink)", "ring", told.low, told.high, label="foretold, 95 %"))
        reading = f"Foretold for {flops(compute)} FLOP: {bits(told.value)} ({bits(told.low)} to {bits(told.high)}); "
        if told.measured is None:
            reading += "not measured yet."
        else:
            items.append(Spot(compute, told.measured, "var(--bad)", "diamond", label="then measured"))
            where = {True: "inside", False: "outside", None: "the interval is missing"}[told.is_inside]
            reading += f"measured: {bits(told.measured)}, {where}."
        seen = max((6 * p["n"] * p["d"] for p in ladder["points"]), default=0.0)
        if 0 < seen < compute:
            marks.append(Mark((seen * compute) ** 0.5, "fitted | foretold", "x"))
    x, y = Axis("compute, FLOP", True), Axis("bits per byte", True)
    return plot(f"{language(code)}: loss against compute", items, x, y, reading, marks, height=270)


def _test(ladder: Mapping[str, Any]) -> str:
    """The larger run from near: what was foretold, with its interval, and what it reached."""
    given = []
    for i, one in enumerate(told := foretold(ladder)):
        name, colour = language(one.language), f"var(--c{i})"
        given.append(Row(f"{name}, foretold", one.value, one.low, one.high, bits(one.value), colour, is_open=True))
        if one.measured is not None:
            given.append(Row(f"{name}, measured", one.measured, text=bits(one.measured), colour=colour))
    outside = [language(one.language) for one in told if one.is_inside is False]
    reading = "Not measured yet." if not any(one.measured for one in told) else "Measured inside the 95 % interval."
    if outside:
        reading = f"{listing(outside)}: measured outside the 95 % interval."
    return rows("The larger run, from near", given, Axis("bits per byte (less is better)"), reading)


def _ratios(ladder: Mapping[str, Any]) -> str:
    optimal = {code: one for code, one in (ladder.get("optimal") or {}).items() if one and one.get("ratio")}
    given = [
        Row(
            f"{language(code)}, for {flops(one['flops'])} FLOP",
            one["ratio"],
            one["low"],
            one["high"],
            figure(one["ratio"], 2),
            f"var(--c{i})",
        )
        for i, (code, one) in enumerate(optimal.items())
    ]
    parts = [f"{language(code)} {figure(one['ratio'], 2)} ({between(one['low'], one['high'])})"
             for code, one in optimal.items()]  # fmt: skip
    wide = [one["high"] / one["low"] for one in optimal.values() if one["low"] and one["high"]]
    reading = f"Best tokens per parameter: {listing(parts)}" if parts else ""
    if wide:
        reading += f"; the widest interval spans {times(max(wide))}"
    values = [v for one in optimal.values() for v in (one["ratio"], one["low"], one["high"]) if v]
    marks = [Mark(v, note, "x") for v, note in _ADVISED if values and min(values) / 4 <= v <= max(values) * 4]
    return rows(
        "Tokens per parameter at the best split", given, Axis("tokens per parameter", True), reading + ".", marks
    )
