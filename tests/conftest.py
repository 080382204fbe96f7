"""One run of the whole spine, made once a session, that tests read or copy."""

from pathlib import Path

import pytest
import torch

from dotori.recipe.run import run_recipe
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog

torch.set_num_threads(1)  # shapes of tests are small: a second thread waits more than it works

MICRO = Path(__file__).parent / "micro.toml"


@pytest.fixture(scope="session")
def micro_recipe() -> Path:
    """The recipe of `micro_run`."""
    return MICRO


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; copy it before you change anything."""
    folder = tmp_path_factory.mktemp("micro") / "run"
    with RunLog(quiet=True) as log:
        run_recipe(read_recipe(MICRO), folder, log)
    return folder
