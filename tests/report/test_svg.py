"""The charts hold every point, escape what they are given, and survive empty, flat and broken figures."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.report.svg import Bar, Node, Series, bar_chart, graph, line_chart, short, thin, ticks

finite = st.floats(-1e12, 1e12)


def elements(chart):
    return ElementTree.fromstring(chart)


@given(st.lists(st.tuples(finite, finite), max_size=600), st.integers(2, 100))
def test_thin_keeps_ends_and_bounds(points, most):
    points = sorted(points)
    kept = thin(points, most)
    assert len(kept) <= most
    assert kept[-1:] == points[-1:]
    if points:
        low, high = min(y for _, y in points), max(y for _, y in points)
        assert all(low - 1e-3 <= y <= high + 1e-3 for _, y in kept)


def test_thin_drops_what_is_not_finite():
    assert thin([(0, math.nan), (1, math.inf), (2, 1.0)]) == [(2, 1.0)]


@given(finite, st.floats(1e-9, 1e12))
def test_ticks_are_few_and_inside(low, span):
    high = low + span
    found = ticks(low, high)
    assert len(found) <= 7
    room = 1e-6 * max(abs(low), abs(high), span)
    assert all(low - room <= value <= high + room for value in found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1_500_000, "1.5M"),
        (20_000, "20k"),
        (2.4123, "2.412"),
        (9200, "9200"),
        (2.3e-6, "2.3e-6"),
        (1e9, "1G"),
    ],
)
def test_short_numbers(value, text):
    assert short(value) == text


@given(st.lists(st.lists(st.tuples(finite, finite), max_size=30), max_size=4), st.text(max_size=20))
def test_any_lines_are_well_formed(lines, name):
    name = "".join(c for c in name if c.isprintable())
    series = [Series(name, sorted(points), i) for i, points in enumerate(lines)]
    chart = line_chart(name, series, name, name, [(0.0, name)])
    if any(lines):
        assert sum(e.tag.endswith("path") for e in elements(chart).iter()) == sum(bool(points) for points in lines)
    else:
        assert chart == ""


def test_flat_and_single_points():
    for points in ([(0, 1.0)], [(0, 1.0), (1, 1.0)], [(5, 0.0)]):
        assert "nan" not in line_chart("t", [Series("a", points)], "x")


def test_bars_show_value_and_interval_within_the_track():
    chart = bar_chart("t", [Bar("모델", 0.5, 0.4, 0.6), Bar("base", 3.0, muted=True), Bar("none", 0.0)], 1.0)
    widths = [float(e.get("width")) for e in elements(chart).iter() if e.get("class") in ("bar", "bar muted", "track")]
    track = widths[0]
    assert widths == [track, pytest.approx(track / 2, abs=0.06), track, track, track, 0.0]
    assert "모델" in chart
    assert chart.count("whisker") == 1


def test_the_graph_draws_direct_edges_only():
    nodes = [Node("a", "", []), Node("b", "", ["a"]), Node("c", "", ["a", "b"]), Node("d", "", ["b", "c", "elsewhere"])]
    chart = graph("t", nodes)
    assert chart.count('class="edge"') == 3
    assert chart.count('class="node"') == 4


def test_text_cannot_become_markup():
    hostile = '<script>alert("1")</script>&'
    for chart in (
        line_chart(hostile, [Series(hostile, [(0, 1), (1, 2)]), Series(hostile, [(0, 1)])], hostile, hostile),
        bar_chart(hostile, [Bar(hostile, 1.0, text=hostile)], 1.0),
        graph(hostile, [Node(hostile, hostile, [])]),
    ):
        assert "<script" not in chart
        elements(chart)
