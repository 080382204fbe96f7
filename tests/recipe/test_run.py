"""A recipe run again: what is unchanged is kept, what is cut goes on, what was altered is made anew."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from dotori.checkpoint.gguf import read_gguf
from dotori.errors import Interrupted, UserError
from dotori.files import sha256_file
from dotori.recipe.run import run_recipe
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog
from dotori.train.lock import locked


@pytest.fixture
def run(micro_recipe, tmp_path):
    def again(folder: Path, *assignments: str, **options) -> dict[str, str]:
        with RunLog(quiet=True) as log:
            outcomes = run_recipe(read_recipe(micro_recipe, assignments), folder, log, **options)
        return {outcome.name: outcome.action for outcome in outcomes}

    return again


@pytest.fixture
def copy(micro_run, tmp_path) -> Path:
    return Path(shutil.copytree(micro_run, tmp_path / "run"))


def weights(folder: Path, stage: str = "sft") -> str:
    return sha256_file(folder / stage / "model.safetensors")


def test_nothing_changed_nothing_made(run, copy):
    before = {path: path.stat().st_mtime_ns for path in copy.glob("*/*")}
    assert set(run(copy).values()) == {"unchanged"}
    assert {path: path.stat().st_mtime_ns for path in copy.glob("*/*")} == before


def test_the_same_recipe_in_another_folder_gives_the_same_weights(run, copy, tmp_path):
    assert set(run(tmp_path / "other").values()) == {"made"}
    assert weights(tmp_path / "other") == weights(copy)
    files = [read_gguf(folder / "export-q4_0" / "model-Q4_0.gguf") for folder in (copy, tmp_path / "other")]
    assert all(torch.equal(files[0].state[name], files[1].state[name]) for name in files[0].state)


def test_a_changed_setting_makes_its_stage_and_what_it_feeds_anew(run, copy):
    actions = run(copy, "sft.steps=7")
    made = [name for name, action in actions.items() if action == "made"]
    assert made == ["sft", "export-q4_0", "eval", "report"]
    assert set(run(copy, "sft.steps=7").values()) == {"unchanged"}


def test_a_setting_that_only_watches_changes_nothing(run, copy):
    actions = run(copy, "train.validate_every=4", "train.save_every=3")
    assert {actions[name] for name in ("tokenizer", "data", "train", "decay", "sft", "export-q4_0", "eval")} == {
        "unchanged"
    }


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_a_damaged_folder_is_made_anew_to_the_same_weights(run, copy, damage):
    good = weights(copy)
    if damage == "gone":
        shutil.rmtree(copy / "sft")
    else:
        path = copy / "sft" / "model.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
    actions = run(copy)
    assert [name for name, action in actions.items() if action == "unchanged"] == [
        "tokenizer",
        "data",
        "train",
        "decay",
    ]
    assert weights(copy) == good


def test_restart_makes_all_or_a_part_anew(run, copy):
    good = weights(copy)
    made = [name for name, action in run(copy, restart="sft").items() if action != "unchanged"]
    assert made[0] == "sft"
    assert set(run(copy, restart="all").values()) == {"made"}
    assert weights(copy) == good
    with pytest.raises(UserError, match="no stage 'stf'; did you mean 'sft'"):
        run(copy, restart="stf")


def test_time_slices_end_in_the_same_weights(run, copy, tmp_path):
    slices = 0
    while slices < 40:
        try:
            run(tmp_path / "sliced", stop_after=0.5)
            break
        except Interrupted:
            slices += 1
    assert 1 <= slices < 40
    assert set(run(tmp_path / "sliced").values()) == {"unchanged"}
    assert weights(tmp_path / "sliced") == weights(copy)


def test_two_runs_in_one_folder_are_refused(run, copy):
    with locked(copy), pytest.raises(UserError, match="process"):
        run(copy)


def test_an_older_result_stays_until_the_new_one_is_there(run, copy, micro_recipe):
    """A stage that fails leaves the folder before it aside, not gone."""
    with pytest.raises(UserError, match="vocabulary"):
        run(copy, "eval.vocabulary=5")
    assert (copy / "eval.previous" / "evaluation.json").is_file()
    assert run(copy)["eval"] == "made"
    assert not (copy / "eval.previous").exists()


def test_the_records_tell_time_memory_and_parents(micro_run):
    records = json.loads((micro_run / "stages.json").read_text())
    assert list(records) == ["tokenizer", "data", "train", "decay", "sft", "export-q4_0", "eval", "report"]
    assert records["sft"]["parents"] == ["decay", "data"] or set(records["sft"]["parents"]) == {"decay", "data"}
    for record in records.values():
        assert record["seconds"] >= 0
        assert record["peak_memory_bytes"] > 50e6
    assert (micro_run / "recipe.toml").is_file()
