"""One chart of points and lines on linear or logarithmic axes, and one of rows with intervals, as inline SVG.

Drawn 360 units wide, about a phone; colours and fonts come from the page's CSS. Every string is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from typing import Literal

from dotori.report.svg import WIDTH
from dotori.tunnel.page.axes import Axis, Scale, round_values, scale_for, tick_text

_LETTER = 6.8  # width of a letter of the ticks
_TOP, _FOOT = 26, 40


@dataclass(frozen=True)
class Line:
    """A line through `points` by rising x; `label` names it in the legend."""

    points: Sequence[tuple[float, float]]
    colour: str = "var(--c0)"
    label: str = ""
    is_dashed: bool = False
    has_dots: bool = False
    is_thin: bool = False


@dataclass(frozen=True)
class Area:
    """The band between low and high: points are (x, low, high)."""

    points: Sequence[tuple[float, float, float]]
    colour: str = "var(--c0)"
    label: str = ""


@dataclass(frozen=True)
class Spot:
    """One marked point, with an interval in y where known; `note` is written beside it."""

    x: float
    y: float
    colour: str = "var(--c0)"
    kind: Literal["disc", "ring", "diamond", "frame", "cross"] = "disc"
    low: float | None = None
    high: float | None = None
    note: str = ""
    label: str = ""


@dataclass(frozen=True)
class Mark:
    """A dashed line across the chart at `value`, named `note`."""

    value: float
    note: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True)
class Row:
    """A value with its interval in one row; `text` stands at the right. `is_open`: the interval goes on (an edge).

    `crosses`: values at which something failed.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""
    colour: str = "var(--c0)"
    is_open: bool = False
    crosses: tuple[float, ...] = ()


Item = Line | Area | Spot


def plot(
    title: str,
    items: Sequence[Item],
    x: Axis,
    y: Axis,
    reading: str,
    marks: Sequence[Mark] = (),
    strip: Sequence[Row] = (),
    height: int = 250,
) -> str:
    """Lines, bands and points over two axes; empty when there is nothing to draw.

    Lines are cut where they leave the y range of `y`. `strip`: rows under the x axis, on the same scale.
    """
    items = [_positive(item, x.is_log, y.is_log) for item in items]
    marks = [mark for mark in marks if mark.value > 0 or not (x if mark.axis == "x" else y).is_log]
    strip = [row for row in strip if row.value > 0 or not x.is_log]
    xs = [value for item in items for value in _extent(item)[0]]
    xs += [m.value for m in marks if m.axis == "x"] + [v for r in strip for v in (r.value, r.low, r.high) if v]
    ys = [value for item in items for value in _extent(item)[1]] + [m.value for m in marks if m.axis == "y"]
    if not xs or not ys:
        return ""
    vertical = scale_for(y, ys, height - _FOOT, _TOP)
    levels = [v for v in y.ticks or round_values(vertical, 5) if vertical.low <= v <= vertical.high * 1.0001]
    left = 10 + _LETTER * max((len(tick_text(v, y.is_log)) for v in levels), default=1)
    horizontal = scale_for(x, xs, left, WIDTH - 10)
    parts = _axes(x, y, horizontal, vertical, levels, height)
    parts += [_mark(mark, horizontal, vertical) for mark in marks]
    for kinds in (Area, Line, Spot):
        parts += [_drawn(item, horizontal, vertical) for item in items if isinstance(item, kinds)]
    for i, row in enumerate(strip):
        parts.append(_label("tick", left - 5, height + 12 + 15 * i, row.label, "end"))
        parts.append(_row_line(row, horizontal, height + 8 + 15 * i))
    if strip:
        height += 15 * len(strip) + 4
    legend = [(item.label, item) for item in items if item.label]
    return _figure(title, legend, _svg(title, height, parts), reading)


def rows(title: str, given: Sequence[Row], x: Axis, reading: str, marks: Sequence[Mark] = ()) -> str:
    """One value with its interval per row, named above it; empty without rows."""
    if not given:
        return ""
    step, top = 36, 16 if marks else 2
    bottom = top + step * len(given)
    values = [v for row in given for v in (row.value, row.low, row.high) if v is not None and (v > 0 or not x.is_log)]
    if not values:
        return ""
    side = max(1.25 * _LETTER * max(len(row.text) for row in given) + 14, 20)
    scale = scale_for(x, values + [mark.value for mark in marks], 12, WIDTH - side)
    parts = []
    for value in x.ticks or round_values(scale, 4):
        at = scale(value)
        parts.append(f'<line class="grid-line" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}"/>')
        text = tick_text(value, x.is_log)
        parts.append(_label("tick", max(at, 2 + _LETTER * len(text) / 2), bottom + 14, text, "middle"))
    for mark in marks:
        at = scale(mark.value)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(_label("axis", at, top - 5, mark.note, _anchor(at, mark.note)))
    for i, row in enumerate(given):
        y = top + step * i
        parts.append(_label("label", 2, y + 13, row.label, "start"))
        parts.append(_row_line(row, scale, y + 24))
        parts.append(_label("figure", WIDTH - side + 10, y + 28, row.text, "start"))
    parts.append(_label("axis", WIDTH / 2, bottom + 30, x.label, "middle"))
    return _figure(title, [], _svg(title, bottom + 36, parts), reading)


def _positive(item: Item, log_x: bool, log_y: bool) -> Item:
    """A logarithmic axis has no place for zero and below, no axis one for what is not finite."""

    def fits(x: float, *ys: float) -> bool:
        return all(math.isfinite(v) for v in (x, *ys)) and (x > 0 or not log_x) and (min(ys) > 0 or not log_y)

    if isinstance(item, Line):
        points = sorted(p for p in item.points if fits(*p))
        return Line(points, item.colour, item.label, item.is_dashed, item.has_dots, item.is_thin)
    if isinstance(item, Area):
        return Area(sorted(p for p in item.points if fits(*p)), item.colour, item.label)
    if not fits(item.x, item.y):
        return Line(())
    has_interval = item.low is not None and item.high is not None and fits(item.x, item.low, item.high)
    return item if has_interval else replace(item, low=None, high=None)


def _extent(item: Item) -> tuple[list[float], list[float]]:
    if isinstance(item, Spot):
        return [item.x], [v for v in (item.y, item.low, item.high) if v is not None]
    return [p[0] for p in item.points], [v for p in item.points for v in p[1:]]


def _axes(x: Axis, y: Axis, across: Scale, up: Scale, levels: Sequence[float], height: int) -> list[str]:
    parts = [_label("axis", 2, 11, y.label, "start")]
    for value in levels:
        at = up(value)
        parts.append(
            f'<line class="grid-line" x1="{across.start:.1f}" x2="{across.end:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(_label("tick", across.start - 5, at + 4, tick_text(value, y.is_log), "end"))
    taken = -math.inf
    for value in x.ticks or round_values(across, 5):
        text = tick_text(value, x.is_log)
        if not across.low * 0.999 <= value <= across.high * 1.001:
            continue
        at = min(max(across(value), across.start), WIDTH - 2 - _LETTER * len(text) / 2)
        if at - _LETTER * len(text) / 2 < taken + 6:
            continue
        taken = at + _LETTER * len(text) / 2
        parts.append(f'<line class="grid-line" x1="{across(value):.1f}" x2="{across(value):.1f}" y1="{up.end:.1f}" '
                     f'y2="{up.start + 4:.1f}"/>')  # fmt: skip
        parts.append(_label("tick", at, up.start + 17, text, "middle"))
    parts.append(_label("axis", WIDTH - 8, height - 4, x.label, "end"))
    return parts


def _mark(mark: Mark, across: Scale, up: Scale) -> str:
    if mark.axis == "y":
        at = min(max(up(mark.value), up.end), up.start)
        line = f'<line class="mark" x1="{across.start:.1f}" x2="{across.end:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        return line + _label("axis", across.end - 2, at - 4 if at > up.end + 14 else at + 12, mark.note, "end")
    at = across(mark.value)
    line = f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{up.end:.1f}" y2="{up.start:.1f}"/>'
    return line + _label("axis", at, up.end - 3, mark.note, _anchor(at, mark.note))


def _drawn(item: Item, across: Scale, up: Scale) -> str:
    if isinstance(item, Area):
        if len(item.points) < 2:
            return ""
        ends = [[(across(p[0]), min(max(up(p[i]), up.end), up.start)) for p in item.points] for i in (1, 2)]
        outline = "L".join(f"{x:.1f} {y:.1f}" for x, y in [*ends[0], *reversed(ends[1])])
        return f'<path class="area" style="fill:{item.colour}" d="M{outline}Z"/>'
    if isinstance(item, Spot):
        return _spot(item, across, up)
    kind = "line thin" if item.is_thin else "line"
    dash = ' stroke-dasharray="4 3"' if item.is_dashed else ""
    places = [(across(x), up(y)) for x, y in item.points]
    parts = [
        f'<path class="{kind}" style="stroke:{item.colour}"{dash} d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in run)}"/>'
        for run in _inside(places, up.end, up.start)
    ]
    if item.has_dots:
        parts += [
            f'<circle r="2.4" cx="{x:.1f}" cy="{y:.1f}" style="fill:{item.colour}"/>'
            for x, y in places
            if up.end - 0.1 <= y <= up.start + 0.1
        ]
    return "".join(parts)


def _inside(places: Sequence[tuple[float, float]], top: float, bottom: float) -> list[list[tuple[float, float]]]:
    """The parts of a line between top and bottom, cut at the borders."""
    runs: list[list[tuple[float, float]]] = []
    for (x0, y0), (x1, y1) in pairwise(places):
        start, end = 0.0, 1.0
        if y0 != y1:
            at = sorted(((top - y0) / (y1 - y0), (bottom - y0) / (y1 - y0)))
            start, end = max(0.0, at[0]), min(1.0, at[1])
        if start > end or (y0 == y1 and not top <= y0 <= bottom):
            continue
        cut = [(x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in (start, end)]
        if runs and start == 0.0 and runs[-1][-1] == cut[0]:
            runs[-1].append(cut[1])
        else:
            runs.append(cut)
    return runs


def _spot(spot: Spot, across: Scale, up: Scale) -> str:
    x, y = across(spot.x), min(max(up(spot.y), up.end), up.start)
    parts = []
    if spot.low is not None and spot.high is not None:
        a, b = (min(max(up(v), up.end), up.start) for v in (spot.low, spot.high))
        way = f"M{x - 4:.1f} {a:.1f}h8M{x:.1f} {a:.1f}V{b:.1f}M{x - 4:.1f} {b:.1f}h8"
        parts.append(f'<path class="whisker" style="stroke:{spot.colour}" d="{way}"/>')
    parts.append(_shape(spot.kind, x, y, spot.colour))
    if spot.note:
        is_right = x + 9 + _LETTER * len(spot.note) < WIDTH
        parts.append(_label("label", x + 8 if is_right else x - 8, y + 4, spot.note, "start" if is_right else "end"))
    return "".join(parts)


def _shape(kind: str, x: float, y: float, colour: str) -> str:
    if kind == "diamond":
        return f'<path class="spot" style="fill:{colour}" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5Z"/>'
    if kind == "frame":
        way = f"M{x:.1f} {y - 8:.1f}l8 8l-8 8l-8 -8Z"
        return f'<path class="frame" style="stroke:{colour}" d="{way}"/>'
    if kind == "cross":
        return f'<path class="cross" style="stroke:{colour}" d="M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"/>'
    fill = "var(--card)" if kind == "ring" else colour
    return f'<circle class="ringed" r="4.2" cx="{x:.1f}" cy="{y:.1f}" style="fill:{fill};stroke:{colour}"/>'


def _row_line(row: Row, scale: Scale, y: float) -> str:
    parts = [f'<line class="grid-line" x1="{scale.start:.1f}" x2="{scale.end:.1f}" y1="{y}" y2="{y}"/>']
    low, high = scale.low, scale.high
    if row.low is not None and row.high is not None and (row.low > 0 or not scale.is_log):
        a, b = (scale(min(max(v, low), high)) for v in (row.low, row.high))
        parts.append(f'<line class="span" style="stroke:{row.colour}" x1="{a:.1f}" x2="{b:.1f}" y1="{y}" y2="{y}"/>')
    parts += [_shape("cross", scale(min(max(v, low), high)), y, row.colour) for v in row.crosses]
    if row.value > 0 or not scale.is_log:
        x = scale(min(max(row.value, low), high))
        parts.append(_shape("ring" if row.is_open else "disc", x, y, row.colour))
    return "".join(parts)


def _anchor(at: float, text: str) -> str:
    half = _LETTER * len(text) / 2
    return "end" if at + half > WIDTH - 2 else "start" if at - half < 2 else "middle"


def _label(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: list[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">{body}</svg>'


def _figure(title: str, legend: Sequence[tuple[str, Item]], svg: str, reading: str) -> str:
    keys = "".join(f"<span>{_swatch(item)}{escape(label)}</span>" for label, item in legend)
    keys = f'<div class="legend">{keys}</div>'
    words = f'<p class="reading">{escape(reading)}</p>' if reading else ""
    return f"<figure><figcaption>{escape(title)}</figcaption>{keys}{svg}{words}</figure>"


def _swatch(item: Item) -> str:
    if isinstance(item, Spot):
        return f'<svg class="swatch" viewBox="0 0 14 14">{_shape(item.kind, 7, 7, item.colour)}</svg>'
    kind = "area" if isinstance(item, Area) else "dash" if isinstance(item, Line) and item.is_dashed else ""
    return f'<i class="{kind}" style="--key:{item.colour}"></i>'
