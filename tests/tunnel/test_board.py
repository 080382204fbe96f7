"""The board's curves."""

from dotori.tunnel.board import sparkline


def test_a_curve_is_drawn_from_high_to_low():
    bars = sparkline([8.0 - 0.1 * n for n in range(64)])
    assert len(bars) == 32
    assert list(bars) == sorted(bars, reverse=True)
    assert (bars[0], bars[-1]) == ("█", "▁")


def test_a_steep_start_does_not_flatten_the_rest():
    bars = sparkline([50.0, 20.0, 12.0, 8.0] + [5.0 - 0.05 * n for n in range(60)])
    assert len(set(bars)) >= 6


def test_short_and_level_curves():
    assert sparkline([]) == ""
    assert sparkline([3.0]) == "▁"
    assert set(sparkline([2.0] * 40)) == {"▁"}
