"""The board's curves, and what it says is left."""

from tiny_tunnel import job_of

from dotori.runlog import RunLog
from dotori.tunnel.board import Board, sparkline
from dotori.tunnel.job import Result


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


def test_a_run_that_nobody_waits_for_does_not_shorten_what_is_left(tmp_path):
    waited, other, beside = (job_of("0" * 64, seed=seed) for seed in range(3))
    board = Board(RunLog(quiet=True), "runs", tmp_path, {waited.id: 10.0, other.id: 30.0})
    board.done(beside, Result(beside.id, "done", {"en": 2.0}))
    assert board.done_seconds == 0
    board.done(waited, Result(waited.id, "done", {"en": 2.0}))
    assert board.done_seconds == 10
    assert len(board.latest) == 2
