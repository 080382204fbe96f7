"""A run that is killed, signalled or out of disk: the same command goes on, and ends in the same weights."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dotori.files import sha256_file

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
COMPARED = (
    "train/model.safetensors",
    "decay/model.safetensors",
    "sft/model.safetensors",
    "data/chat/train-00000.tokens",
)


def start(recipe: Path, folder: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "dotori.cli.main", "run", str(recipe), "--out", str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finish(recipe: Path, folder: Path) -> str:
    done = start(recipe, folder)
    _, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    return errors


def same(one: Path, other: Path) -> bool:
    return all(sha256_file(one / name) == sha256_file(other / name) for name in COMPARED)


def killed_often(recipe: Path, folder: Path, times: int, longest: float, seed: int) -> int:
    """Starts the run and kills it after a random time, `times` times; returns how many were still running."""
    dice, caught = random.Random(seed), 0
    for _ in range(times):
        process = start(recipe, folder)
        try:
            process.communicate(timeout=dice.uniform(1.0, longest))
        except subprocess.TimeoutExpired:
            caught += 1
            process.kill()
            process.communicate()
    return caught


def test_killed_runs_end_in_the_same_weights(micro_recipe, micro_run, tmp_path):
    assert killed_often(micro_recipe, tmp_path / "run", 4, 4.0, seed=1) >= 2
    finish(micro_recipe, tmp_path / "run")
    assert same(micro_run, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.partial"))
    assert not list((tmp_path / "run").rglob("*.tmp-*"))


@pytest.mark.slow
def test_twenty_killed_runs_end_in_the_same_weights(micro_recipe, micro_run, tmp_path):
    caught = 0
    for attempt in range(10):  # a run that gets to its end is begun anew, so that every kill hits a running one
        caught += killed_often(micro_recipe, tmp_path / f"run{attempt}", 6, 3.0, seed=attempt)
        finish(micro_recipe, tmp_path / f"run{attempt}")
        assert same(micro_run, tmp_path / f"run{attempt}")
        if caught >= 20:
            return
    assert caught >= 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(micro_recipe, micro_run, tmp_path, number):
    folder = tmp_path / "run"
    process = start(micro_recipe, folder, "--set", "train.steps=4000")
    deadline = time.monotonic() + 60
    while not (folder / "train.partial" / "step-00000006").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert output == ""
    assert "Traceback" not in errors
    assert "continue with: dotori run" in errors
    assert not (folder / "train").exists()
    steps = sorted(path.name for path in (folder / "train.partial").glob("step-*"))
    again = start(micro_recipe, folder, "--set", "train.steps=4000", "--stop-after", "1s")
    _, errors = again.communicate(timeout=60)
    assert f"continuing at step {int(steps[-1][5:])}" in errors


def test_a_full_disk_is_one_message_and_freeing_it_goes_on_to_the_same_weights(micro_recipe, micro_run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs rights that this user has not")
    try:
        full = start(micro_recipe, disk / "run")
        _, errors = full.communicate(timeout=120)
        assert full.returncode == 73, errors
        assert "No space left on device" in errors
        assert "Traceback" not in errors
        assert not list((disk / "run").rglob("*.tmp-*"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        finish(micro_recipe, disk / "run")
        assert same(micro_run, disk / "run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
