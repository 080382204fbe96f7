"""What the tunnel's tests share: jobs that train a tiny model on the story world in a second."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dotori.data.build import data_lineage
from dotori.files import sha256_json
from dotori.runlog import RunLog
from dotori.tunnel.ground import Ground
from dotori.tunnel.queue import open_queue
from dotori.tunnel.settings import TunnelSettings

sys.path.insert(0, str(Path(__file__).parent))  # for tiny_tunnel

from tiny_tunnel import TINY


@pytest.fixture(scope="session")
def data(micro_run) -> Path:
    """A small dataset folder: stories, and conversations of which some are held back."""
    return micro_run / "data"


@pytest.fixture(scope="session")
def data_hash(data) -> str:
    return sha256_json(data_lineage(data))


@pytest.fixture
def small() -> TunnelSettings:
    """A tunnel of models of one to eight heads of eight."""
    return TunnelSettings(
        train=TINY,
        minutes=60.0,
        unit=8,
        check_widths=(16, 32, 64),
        check_steps=2,
        search_heads=2,
        search_trials=6,
        batch_sizes=(64, 128, 256),
        batch_heads=(2,),
        ladder_heads=(2, 3, 4),
        held_out_heads=5,
    )


@pytest.fixture(scope="session")
def queue(data, tmp_path_factory):
    """A running queue of two workers, its speeds measured. Addresses keep the tests' runs apart."""
    folder = tmp_path_factory.mktemp("tunnel")
    with RunLog(quiet=True) as log, open_queue(folder, data, log, lambda: None, 2) as queue:
        queue.measure([TINY])
        queue.machine = replace(queue.machine, workers=2, threads=1)  # whatever a busy machine measured
        yield queue


@pytest.fixture
def ground(small, queue, tmp_path):
    """A ground on the shared queue; its chapters are written to a folder of its own."""
    queue.beside = []
    return Ground(small, queue, tmp_path, RunLog(quiet=True), True, {})
