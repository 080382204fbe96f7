"""`dotori bench`: the keys that scripts rely on, and engines that take turns."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from dotori.errors import UserError
from dotori.evaluate.peers import Peer, compare
from dotori.evaluate.speed import measure_speed
from dotori.runlog import RunLog

FIXED = {"decode_tokens_per_second", "prefill_tokens_per_second", "time_to_first_token_ms", "peak_memory_bytes"}
FIXED |= {"bandwidth_share", "decode_ratio", "prefill_ratio", "expert_hit_rate", "stall_ms_per_token"}


@pytest.fixture(scope="module")
def file(micro_run: Path) -> Path:
    return micro_run / "export-q4_0" / "model-Q4_0.gguf"


def test_the_figures_of_a_file(file: Path):
    with RunLog(quiet=True) as log:
        report = measure_speed(file, 1, 8, None, log)
    assert report.keys() >= FIXED
    assert report["decode_tokens_per_second"] > 0
    assert report["prefill_tokens_per_second"] > 0
    assert report["time_to_first_token_ms"] > report["open_ms"] > 0
    assert report["peak_memory_bytes"] > report["weight_bytes"] > 1000
    assert report["decode_ratio"] is None
    assert {row["operation"] for row in report["operations"]} >= {
        "qkv",
        "attention",
        "output",
        "gate_up",
        "down",
        "head",
    }
    assert sum(row["bytes"] for row in report["operations"]) == report["bytes_per_token"]


def test_engines_take_turns(file: Path):
    with Peer("dotori", file, 1, 64) as ours:
        table = compare({"dotori": ours}, 16, 4, 8, 2)["dotori"]
        tokens, logits = ours.greedy([1, 2, 3], 5)
    assert table["prefill"]["median"] > 0
    assert table["decode"]["best"] >= table["decode"]["median"] > 0
    assert len(tokens) == 5
    assert tokens[0] == logits.argmax()


@pytest.mark.skipif(find_spec("onnxruntime_genai") is not None, reason="the extra `mobile` is installed")
def test_an_engine_that_is_not_there_is_one_clear_error(file: Path):
    with pytest.raises(UserError, match=r"onnxruntime-genai: ModuleNotFoundError.*leave the peer out"):
        Peer("onnxruntime-genai", file, 1, 64)


def test_a_model_folder_is_sent_to_export(micro_run: Path):
    with RunLog(quiet=True) as log, pytest.raises(UserError, match="export it first"):
        measure_speed(micro_run / "sft", 1, 8, None, log)
