"""One run of the whole spine, made once a session, that tests read or copy; and no test talks to the outside."""

import sys
from pathlib import Path

import pytest
import torch

from dotori.recipe.run import run_recipe
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog

torch.set_num_threads(1)  # shapes of tests are small: a second thread waits more than it works

LOOPBACK = ("127.", "::1", "::ffff:127.", "localhost")


def stay_inside(event: str, arguments: tuple) -> None:
    """An audit hook: connecting to, or looking up, anything but this machine is an error."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
    elif event == "socket.getaddrinfo" and arguments[0]:
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else str(arguments[0])
    else:
        return
    if not host.startswith(LOOPBACK):
        raise RuntimeError(f"a test reached for {host}; only loopback is allowed")


sys.addaudithook(stay_inside)

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
