"""The charts of the chapters on width, search, learning rate and batch, each with a sentence that reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from dotori.report.svg import Bar, bar_chart
from dotori.tunnel.page.axes import Axis, ramps
from dotori.tunnel.page.plot import Item, Line, Mark, Row, Spot, plot
from dotori.tunnel.page.verdicts import ONE_STEP, by_width, drift, edges, falls, mean_bowl, steepest
from dotori.tunnel.page.words import between, bits, count, figure, numbers, percent, plural, setting_name, variant_name

# Priors of published laws, as they are called on the chart.
_PRIORS = {"step_law": "Step Law", "deepseek": "DeepSeek", "minicpm": "MiniCPM"}


def coordinate_charts(check: Mapping[str, Any]) -> list[str]:
    """One chart per variant: the last step's mean activation by width, as a multiple of the narrowest model's."""
    grown = {name: _growth(variant) for name, variant in check["variants"].items()}
    values = [y for layers in grown.values() for points in layers.values() for _, y in points]
    if not values:
        return []
    low, high = min([0.8, *values]), max([1.25, *values])
    y = Axis("mean |activation|, times the narrowest model's", True, low / 1.1, high * 1.1)
    charts = []
    for name, layers in grown.items():
        widths = tuple(sorted({x for points in layers.values() for x, _ in points}))
        colours = ramps(len(layers))
        items = [
            Line(points, colour, layer, has_dots=True)
            for (layer, points), colour in zip(layers.items(), colours, strict=True)
        ]
        reading = _growth_reading(check["variants"][name], widths)
        charts.append(plot(variant_name(name), items, Axis("width of the model", True, ticks=widths), y, reading))
    return [chart for chart in charts if chart]


def _growth(variant: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    found = {}
    for layer, widths in variant["activations"].items():
        last = [(width, numbers(steps)[-1]) for width, steps in by_width(widths) if numbers(steps)]
        if last and last[0][1] > 0:
            found[layer] = [(width, value / last[0][1]) for width, value in last if value > 0]
    return found


def _growth_reading(variant: Mapping[str, Any], widths: Sequence[float]) -> str:
    steep = steepest(variant)
    if steep is None or not widths:
        return "Flat lines mean that signals keep their size as the model gets wider."
    layer, slope = steep
    span = widths[-1] / widths[0]
    factor = span ** slope["slope"]
    change = (
        f"most change in {layer}: {figure(factor, 2)} times over a {figure(span, 2)}-fold width "
        f"(width to the power {figure(slope['slope'], 2)}, 95 % interval "
        f"{between(slope.get('low'), slope.get('high'))})."
    )
    if not variant.get("passed"):
        return f"Not flat: {change}"
    return f"{'Nothing grows' if falls(variant, slope) else 'Flat'}, as it should be: {change}"


def search_charts(search: Mapping[str, Any]) -> list[str]:
    """The trials in their order with the best so far, and what mattered."""
    done = [(t["number"], t["bits_per_byte"]) for t in search["trials"] if t["bits_per_byte"] is not None]
    done.sort()
    full = {t["number"] for t in search["trials"] if t["status"] == "done"}
    best, so_far = math.inf, []
    for number, value in done:
        if number in full:
            best = min(best, value)
            so_far.append((float(number), best))
    default = search.get("default_bits_per_byte")
    spots: list[Item] = [
        Spot(n, v, "var(--c2)" if n in full else "var(--c5)", "disc" if n in full else "ring") for n, v in done
    ]
    for kind, of_kind in (("finished", True), ("stopped early", False)):
        first = next((i for i, (n, _) in enumerate(done) if (n in full) == of_kind), None)
        if first is not None:
            spot = spots[first]
            assert isinstance(spot, Spot)
            spots[first] = Spot(spot.x, spot.y, spot.colour, spot.kind, label=kind)
    settled = sorted(v for n, v in done if n in full) or [v for _, v in done]
    top = (settled[0] + 2.5 * max(settled[len(settled) // 2] - settled[0], 0.02)) if settled else None
    if top is not None and default is not None:
        top = max(top, default * 1.005)
    marks = [Mark(default, f"the default {bits(default)}")] if default is not None else []
    lost = sum(t["status"] == "diverged" for t in search["trials"])
    charts = [
        plot(
            "Trials in their order",
            [Line(so_far, "var(--c0)", "best so far"), *spots],
            Axis("trial"),
            Axis("bits per byte (less is better)", high=top),
            f"{plural(len(search['trials']), 'trial')}, {len(search['trials']) - len(full)} stopped early"
            + (f" ({lost} of them diverged)" if lost else "")
            + "; points at the top edge lie higher.",
            marks,
        )
    ]
    shares = {key: share for key, share in (search.get("importance") or {}).items() if share is not None}
    if shares:
        bars = [
            Bar(setting_name(key), share, text=percent(share))
            for key, share in sorted(shares.items(), key=lambda item: -item[1])
        ]
        reading = f"{bars[0].label[:1].upper()}{bars[0].label[1:]} explains most of the differences between trials."
        chart = bar_chart("How much each setting mattered", bars, max(1.0, max(shares.values())))
        charts.append(chart.replace("</figure>", f'<p class="reading">{escape(reading)}</p></figure>'))
    return [chart for chart in charts if chart]


def bowl_charts(transfer: Mapping[str, Any]) -> list[str]:
    """One chart per variant: loss against learning rate, a line per width, the best rates with intervals below."""
    bowls = {name: {w: mean_bowl(b) for w, b in by_width(v["bowls"])} for name, v in transfer["variants"].items()}
    lowest = [min(y for _, y in points) for one in bowls.values() for points in one.values() if points]
    if not lowest:
        return []
    high = max(lowest) + max(0.5 * (max(lowest) - min(lowest)), 0.08 * min(lowest))
    room = 0.08 * (high - min(lowest))
    rates = [x for one in bowls.values() for points in one.values() for x, _ in points]
    rates += [
        r for v in transfer["variants"].values() for b in v["bowls"].values() for r, losses in by_width(b) if losses
    ]
    x = Axis("learning rate", True, min(rates) / 1.15, max(rates) * 1.15)
    y = Axis("bits per byte", low=min(lowest) - room, high=high + room)
    charts = []
    for name, variant in transfer["variants"].items():
        items, strip = _bowls(variant, bowls[name])
        charts.append(plot(variant_name(name), items, x, y, bowl_reading(variant), strip=strip))
    return [chart for chart in charts if chart]


def _bowls(
    variant: Mapping[str, Any], bowls: Mapping[float, list[tuple[float, float]]]
) -> tuple[list[Item], list[Row]]:
    at_edge = {float(width): is_edge for width, is_edge in edges(variant).items()}
    optimum = dict(by_width(variant.get("optimum") or {}))
    interval = dict(by_width(variant.get("interval") or {}))
    items: list[Item] = []
    strip = []
    for (width, points), colour in zip(bowls.items(), ramps(len(bowls)), strict=True):
        items.append(Line(points, colour, f"width {width:g}", has_dots=True))
        raw = variant["bowls"].get(f"{width:g}", {})
        diverged = [rate for rate, losses in by_width(raw) if len(numbers(losses)) < len(losses)]
        best = optimum.get(width)
        if best is None:
            continue
        low, high = interval.get(width) or (None, None)
        strip.append(Row(f"{width:g}", best, low, high, "", colour, at_edge.get(width, False), tuple(diverged)))
        if (value := _on_line(points, best)) is not None:
            items.append(Spot(best, value, colour, "ring"))
    return items, strip


def _on_line(points: Sequence[tuple[float, float]], x: float) -> float | None:
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1:
            share = (math.log(x) - math.log(x0)) / (math.log(x1) - math.log(x0))
            return y0 + share * (y1 - y0)
    return None


def bowl_reading(variant: Mapping[str, Any]) -> str:
    """One sentence on where the best rates of a variant lie."""
    best = [(width, rate) for width, rate in by_width(variant.get("optimum") or {}) if rate is not None]
    moved = drift(variant)
    if moved is None or not best:
        return "Too few runs ended well here to find the best rates."
    lost = sum(len(ls) - len(numbers(ls)) for bowl in variant["bowls"].values() for ls in bowl.values())
    inside = "stays within" if abs(moved.steps) <= ONE_STEP else "leaves"
    text = (
        f"The best rate is {figure(best[0][1], 2)} at width {best[0][0]:g} and {figure(best[-1][1], 2)} at width "
        f"{best[-1][0]:g}: it {inside} one doubling (moved {figure(moved.steps, 2)}, 95 % interval "
        f"{between(moved.low, moved.high)})."
    )
    return text + (f" Crosses: {plural(lost, 'run')} diverged." if lost else "")


def batch_charts(batch: Mapping[str, Any]) -> list[str]:
    """Per width the tokens that each batch needs to reach given losses; then the best batch against the loss."""
    widths = sorted({curve["width"] for curve in batch["curves"]})
    return [chart for chart in [*(_needs(batch, width) for width in widths), _batch_law(batch)] if chart]


def tokens_to_reach(points: Sequence[tuple[float, float | None]], loss: float) -> float | None:
    """Tokens at which a curve first falls to `loss`, between its points; None when it never does."""
    before: tuple[float, float] | None = None
    for tokens, value in points:
        if value is None:
            continue
        if value <= loss:
            if before is None or before[1] == value:
                return tokens
            share = (before[1] - loss) / (before[1] - value)
            return before[0] + share * (tokens - before[0])
        before = (tokens, value)
    return None


def _needs(batch: Mapping[str, Any], width: int) -> str:
    curves = sorted((c for c in batch["curves"] if c["width"] == width), key=lambda c: c["batch_tokens"])
    minima = sorted((m for m in batch.get("minima") or [] if m["width"] == width), key=lambda m: -m["loss"])
    items: list[Item] = []
    drawn = []
    for minimum, colour in zip(minima, ramps(len(minima)), strict=True):
        loss = minimum["loss"]
        reached = [(c["batch_tokens"], tokens_to_reach(c["points"], loss)) for c in curves]
        points = [(size, tokens) for size, tokens in reached if tokens is not None]
        if len(points) < 2:
            continue
        items.append(Line(points, colour, f"loss {loss:.2f}", has_dots=True))
        drawn.append(minimum)
        if (value := _on_line(points, minimum["batch_tokens"])) is not None:
            items.append(Spot(minimum["batch_tokens"], value, colour, "ring"))
    reading = "Rings mark the batch that needs the fewest tokens"
    if len(drawn) > 1:
        first, last = drawn[0], drawn[-1]
        reading += (
            f": {figure(first['batch_tokens'], 2)} tokens at loss {first['loss']:.2f}, "
            f"{figure(last['batch_tokens'], 2)} at loss {last['loss']:.2f}"
        )
    return plot(
        f"Tokens needed, width {width}",
        items,
        Axis("tokens in one step", True, ticks=tuple(c["batch_tokens"] for c in curves)),
        Axis("tokens until the loss is reached", True),
        reading + ".",
    )


def _batch_law(batch: Mapping[str, Any]) -> str:
    minima = batch.get("minima") or []
    widths = sorted({m["width"] for m in minima})
    items: list[Item] = []
    for width, colour in zip(widths, ramps(len(widths)), strict=True):
        spots = [m for m in minima if m["width"] == width]
        items += [
            Spot(m["loss"], m["batch_tokens"], colour, "ring" if m.get("is_edge") else "disc", label=label)
            for m, label in zip(spots, [f"width {width}"] + [""] * len(spots), strict=False)
        ]
    law = batch.get("law")
    if law and minima:
        losses = [m["loss"] for m in minima]
        low, high = min(losses) * 0.97, max(losses) * 1.03
        steps = [low * (high / low) ** (i / 24) for i in range(25)]
        items.append(Line([(x, law["a"] / x ** law["b"]) for x in steps], "var(--c0)", "fitted law", is_dashed=True))
        reading = (
            f"The line is batch = {figure(law['a'], 2)} / loss^{figure(law['b'], 2)} "
            f"(95 % interval of the exponent {between(*(law.get('b_interval') or (None, None)))}, "
            f"R² {figure(law.get('r2'), 2)}); rings lie at the end of the batches tried."
        )
    else:
        reading = f"No law was fitted: {batch.get('why') or 'too few minima'}."
    x, y = Axis("loss, bits per byte", True), Axis("best batch, tokens in one step", True)
    return plot("Best batch against loss", items, x, y, reading)


def batch_prior_rows(batch: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, batch) of the published laws for the same case."""
    priors = (batch.get("priors") or {}).items()
    return [(_PRIORS.get(name, name), count(value)) for name, value in priors if value is not None]
