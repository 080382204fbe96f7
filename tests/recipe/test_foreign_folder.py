"""A run in a folder where someone keeps things of the same names."""

from pathlib import Path

import pytest

from dotori.errors import UserError
from dotori.recipe.run import run_recipe
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog


def test_a_folder_of_someone_elses_is_never_replaced(micro_recipe: Path, tmp_path: Path):
    for name in ("tokenizer", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work")
        with pytest.raises(UserError, match=f"{name}: holds thesis.txt"), RunLog(quiet=True) as log:
            run_recipe(read_recipe(micro_recipe), tmp_path, log)
        assert (tmp_path / name / "thesis.txt").read_text() == "years of work"
        (tmp_path / name / "thesis.txt").unlink()


def test_neither_is_a_recipe_of_theirs_nor_a_folder_on_restart(micro_recipe: Path, tmp_path: Path):
    (tmp_path / "recipe.toml").write_text("# mine")
    with pytest.raises(UserError, match=r"holds a recipe\.toml that no run has written"), RunLog(quiet=True) as log:
        run_recipe(read_recipe(micro_recipe), tmp_path, log)
    assert (tmp_path / "recipe.toml").read_text() == "# mine"
    (tmp_path / "recipe.toml").unlink()
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"sft: holds thesis\.txt"), RunLog(quiet=True) as log:
        run_recipe(read_recipe(micro_recipe), tmp_path, log, restart="all")
    assert (tmp_path / "sft" / "thesis.txt").read_text() == "years of work"
