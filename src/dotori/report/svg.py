"""Small charts as inline SVG: lines, bars with intervals, a folder graph. Colours and fonts come from the page's CSS.

Each chart is drawn 360 units wide, about the width of a phone, so that its text stays readable there without scaling;
a wide screen sets several side by side. Every string from outside is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 360
_SETTLED = 0.05
_MOST_POINTS = 240


@dataclass(frozen=True)
class Series:
    """One line: points (x, y) by rising x; `colour` picks the page's `--c0` to `--c5`."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Bar:
    """One bar; `low` and `high` bound its interval (None: none known); `muted` marks a baseline.

    `text` is the figure as shown, by default `value` in short.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    muted: bool = False
    text: str = ""


def thin(points: Sequence[tuple[float, float]], most: int = _MOST_POINTS) -> list[tuple[float, float]]:
    """At most `most` points: means of equal runs, the last point kept as it is; points that are not finite go."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= most:
        return finite
    step = len(finite) / (most - 1)
    runs = [finite[int(i * step) : max(int((i + 1) * step), int(i * step) + 1)] for i in range(most - 1)]
    means = [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs if run]
    return [*means, finite[-1]]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers inside [low, high], at most `most` + 1 of them."""
    # Below that, neighbouring ticks are the same number to a float.
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        return [low]
    raw = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * m for m in (1, 2, 2.5, 5, 10) if scale * m >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis or a tile: 1.5M, 200k, 0.003, 2.41."""
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit * 0.99995:
            scaled = value / (1e3 if suffix == "k" else limit)
            return f"{scaled:.3g}{suffix}"
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.4g}"
    return f"{value:.1e}".replace("e-0", "e-")


def line_chart(
    title: str, series: Sequence[Series], x_label: str, unit: str = "", bands: Sequence[tuple[float, str]] = ()
) -> str:
    """Lines over one x axis; `unit` stands beside the title.

    `bands` are (start x, name) of consecutive phases, shaded in turn and named at the top.
    """
    drawn = [(one, thin(one.points)) for one in series]
    drawn = [(one, points) for one, points in drawn if points]
    if not drawn:
        return ""
    left, right, top, bottom, height = 44, WIDTH - 8, 30 if bands else 14, 168, 204
    xs = [x for _, points in drawn for x, _ in points]
    ys = [y for _, points in drawn for _, y in points]
    x_low, x_high = min(xs), max(xs)
    x_low = 0.0 if 0 <= x_low < 0.1 * x_high else x_low
    # What stands above the first twentieth of the way is the fall from a random model: it would flatten all the rest.
    settled = [y for _, points in drawn for x, y in points if x >= x_low + _SETTLED * (x_high - x_low)] or ys
    y_low, y_high = _padded(min(ys), min(max(ys), 1.1 * max(settled)))
    x_span, y_span = (x_high - x_low) or 1.0, y_high - y_low

    def place(x: float, y: float) -> tuple[float, float]:
        y = min(y, y_high)
        return left + (right - left) * (x - x_low) / x_span, bottom - (bottom - top) * (y - y_low) / y_span

    parts = _bands(bands, x_high, top, bottom, lambda x: min(max(place(x, y_low)[0], left), right))
    for value in ticks(y_low, y_high, 4):
        y = place(x_low, value)[1]
        parts.append(f'<line class="grid-line" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 5}" y="{y + 3.5:.1f}" text-anchor="end">{short(value)}</text>')
    for value in ticks(x_low, x_high, 4):
        x = place(value, y_low)[0]
        anchor = "end" if x > right - 12 else "start" if x < left + 4 else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="{anchor}">{short(value)}</text>')
    for one, points in drawn:
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in points))
        dash = ' stroke-dasharray="4 3"' if one.dashed else ""
        parts.append(f'<path class="line" style="stroke:var(--c{one.colour})"{dash} d="{path}"/>')
        x, y = place(*points[-1])
        parts.append(f'<circle r="2.5" cx="{x:.1f}" cy="{y:.1f}" style="fill:var(--c{one.colour})"/>')
    parts.append(f'<text class="axis" x="{right}" y="{height - 4}" text-anchor="end">{escape(x_label)}</text>')
    return _figure(title, [(one.label, one.colour) for one, _ in drawn], _svg(title, height, parts), unit)


def _padded(low: float, high: float) -> tuple[float, float]:
    """A little air around the values; zero stays the floor where values come near it."""
    room = (high - low) * 0.06 or max(abs(high) * 0.1, 1e-9)
    floor = 0.0 if 0 <= low < 0.25 * high else low - room
    return floor, high + room


def _bands(bands: Sequence[tuple[float, str]], x_high: float, top: int, bottom: int, place_x) -> list[str]:
    parts = []
    for i, (start, name) in enumerate(bands):
        end = bands[i + 1][0] if i + 1 < len(bands) else x_high
        x0, x1 = place_x(start), place_x(end)
        if i % 2:
            parts.append(
                f'<rect class="band" x="{x0:.1f}" y="{top - 16}" width="{x1 - x0:.1f}" height="{bottom - top + 16}"/>'
            )
        if x1 - x0 > 6.5 * len(name):
            parts.append(f'<text class="axis" x="{x0 + 3:.1f}" y="{top - 6}">{escape(name)}</text>')
    return parts


def bar_chart(title: str, bars: Sequence[Bar], maximum: float) -> str:
    """Horizontal bars from 0 to `maximum` with their intervals as whiskers and figures at the right."""
    row, left, right = 34, 2, WIDTH - 86
    scale = (right - left) / maximum if maximum > 0 else 0.0
    parts = []
    for i, bar in enumerate(bars):
        y = i * row
        length = max(min(bar.value, maximum), 0.0) * scale
        kind = "bar muted" if bar.muted else "bar"
        parts.append(f'<text class="tick label" x="{left}" y="{y + 12}">{escape(bar.label)}</text>')
        parts.append(f'<rect class="track" x="{left}" y="{y + 17}" width="{right - left}" height="11" rx="2"/>')
        parts.append(f'<rect class="{kind}" x="{left}" y="{y + 17}" width="{length:.1f}" height="11" rx="2"/>')
        if bar.low is not None and bar.high is not None:
            x0, x1 = (left + max(min(v, maximum), 0.0) * scale for v in (bar.low, bar.high))
            parts.append(
                f'<path class="whisker" d="M{x0:.1f} {y + 19}v7M{x0:.1f} {y + 22.5}H{x1:.1f}M{x1:.1f} {y + 19}v7"/>'
            )
        parts.append(f'<text class="figure" x="{right + 6}" y="{y + 27}">{escape(bar.text or short(bar.value))}</text>')
    return _figure(title, [], _svg(title, row * len(bars) + 4, parts))


@dataclass(frozen=True)
class Node:
    """A folder of the graph: its name, a second line, and the names of the folders it was made from."""

    name: str
    detail: str
    parents: Sequence[str]


def graph(title: str, nodes: Sequence[Node]) -> str:
    """The folders, each row below everything it was made from. Edges that a longer way implies are left out."""
    by_name = {node.name: node for node in nodes}
    depth: dict[str, int] = {}
    for node in nodes:
        depth[node.name] = 1 + max((depth[p] for p in node.parents if p in depth), default=-1)
    rows: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        rows[depth[node.name]].append(node)
    height, gap, box = 40, 26, 40
    places: dict[str, tuple[float, float, float]] = {}
    for r, row in enumerate(rows):
        width = min(168.0, (WIDTH - 8 * (len(row) - 1)) / len(row))
        start = (WIDTH - width * len(row) - 8 * (len(row) - 1)) / 2
        for i, node in enumerate(row):
            places[node.name] = (start + i * (width + 8), 1 + r * (height + gap), width)
    parts = []
    for node in nodes:
        x, y, width = places[node.name]
        for parent in _direct(node, by_name):
            px, py, pwidth = places[parent]
            x0, y0, x1 = px + pwidth / 2, py + box, x + width / 2
            middle = (y0 + y) / 2
            way = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y:.1f}"
            parts.append(f'<path class="edge" d="{way}"/>')
    for node in nodes:
        x, y, width = places[node.name]
        middle = x + width / 2
        parts.append(f'<rect class="node" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{box}" rx="7"/>')
        parts.append(_text("name", middle, y + 17, node.name, width))
        parts.append(_text("tick", middle, y + 31, node.detail, width))
    return _figure(title, [], _svg(title, len(rows) * (height + gap) - gap + 3, parts))


def _text(kind: str, x: float, y: float, text: str, width: float) -> str:
    room = int(width / 6.2)
    text = text if len(text) <= room else text[: room - 1] + "…"
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _direct(node: Node, by_name: dict[str, Node]) -> list[str]:
    """The parents that are no ancestor of another parent."""

    def ancestors(name: str) -> set[str]:
        found: set[str] = set()
        for parent in by_name[name].parents if name in by_name else ():
            found |= {parent} | ancestors(parent)
        return found

    parents = [parent for parent in dict.fromkeys(node.parents) if parent in by_name]
    return [p for p in parents if not any(p in ancestors(other) for other in parents if other != p)]


def _svg(title: str, height: float, parts: list[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">{body}</svg>'


def _figure(title: str, legend: list[tuple[str, int]], svg: str, unit: str = "") -> str:
    keys = ""
    if len(legend) > 1:
        keys = "".join(f'<span><i style="background:var(--c{c})"></i>{escape(label)}</span>' for label, c in legend)
        keys = f'<div class="legend">{keys}</div>'
    unit = f' <span class="soft">{escape(unit)}</span>' if unit else ""
    return f"<figure><figcaption>{escape(title)}{unit}</figcaption>{keys}{svg}</figure>"
