"""The small parts that keep a run safe: bad-step rule, lock, stop requests, ledger, identity, tensor files."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from dotori.checkpoint.tensors import write_tensors
from dotori.errors import DiskError, UserError
from dotori.files import sha256_file
from dotori.train.identity import changes, identity
from dotori.train.ledger import Ledger, read_ledger
from dotori.train.lock import locked
from dotori.train.settings import TrainSettings
from dotori.train.spikes import SILENT, WINDOW, Window, too_many
from dotori.train.stop import stop_requests


def filled(count=SILENT, seed=0):
    window, noise = Window(), random.Random(seed)
    for _ in range(count):
        window.add(4 + noise.gauss(0, 0.05), 1 + noise.gauss(0, 0.1))
    return window


def test_what_is_not_finite_is_bad_from_the_first_step_on():
    for loss, norm in ((math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)):
        assert Window().judge(loss, norm)
        assert filled().judge(loss, norm)


def test_spikes_count_only_after_the_silent_steps():
    assert filled(SILENT - 1).judge(400.0, 1.0) is None
    assert "loss is 400" in filled().judge(400.0, 1.0)
    assert "gradient norm is 100" in filled().judge(4.0, 100.0)
    assert filled().judge(0.1, 0.0) is None


def test_clean_runs_are_hardly_ever_skipped():
    skipped = 0
    for seed in range(20):
        window, noise = Window(), random.Random(seed)
        for step in range(1000):
            loss, norm = 8 * math.exp(-step / 300) + 2 + noise.gauss(0, 0.1), math.exp(noise.gauss(0, 0.4))
            skipped += window.judge(loss, norm) is not None
            window.add(loss, norm)
    assert skipped <= 20  # 0.1 % of 20,000 steps


def test_the_tail_of_a_lognormal_norm_is_no_spike():
    """Norms of a tuning run: median 0.9, 95 % within a factor of 1.8; 2.3 is its tail, 9 is not."""
    noise, window = random.Random(4), Window()
    for _ in range(WINDOW):
        window.add(0.3 + noise.gauss(0, 0.04), 0.9 * math.exp(noise.gauss(0, 0.3)))
    assert window.judge(0.3, 2.5) is None
    assert "gradient norm is 9" in window.judge(0.3, 9.0)


def test_a_constant_history_does_not_turn_a_breath_into_a_spike():
    window = Window([1e-3] * 100, [1.0] * 100)
    assert window.judge(1.05e-3, 1.05) is None
    assert window.judge(1.2e-3, 1.0)


def test_the_window_keeps_its_length_and_survives_json():
    window = filled(3 * WINDOW)
    assert len(window.losses) == len(window.norms) == WINDOW
    again = Window(**json.loads(json.dumps({"losses": window.losses, "norms": window.norms})))
    assert again == window


def test_three_skips_in_twenty_are_too_many():
    assert not too_many([], 5)
    assert not too_many([1], 5)
    assert too_many([1, 2], 20)
    assert not too_many([1, 2], 21)


def test_a_second_run_in_the_folder_is_refused_by_name(tmp_path):
    refused = pytest.raises(UserError, match=f"process {os.getpid()} since")
    with locked(tmp_path / "run"), refused, locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "run"):
        pass


HOLD = """
import sys, time
from pathlib import Path
from dotori.errors import UserError
from dotori.train.lock import locked
try:
    with locked(Path(sys.argv[1])):
        print("won", flush=True)
        time.sleep(float(sys.argv[2]))
except UserError:
    print("lost", flush=True)
"""


def test_a_killed_holder_leaves_no_lock_and_racers_have_one_winner(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    holder = subprocess.Popen([*command, "60"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "won\n"
    holder.kill()
    holder.communicate()
    racers = [subprocess.Popen([*command, "2"], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert sorted(racer.communicate()[0] for racer in racers) == ["lost\n"] * 5 + ["won\n"]


def test_signals_become_a_reason_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests(None) as stop:
        assert stop() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() == "stopped by SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_time_slice_ends():
    with stop_requests(0.02) as stop:
        assert stop() is None
        time.sleep(0.03)
        assert "0.02 s" in stop()


def test_the_second_signal_ends_at_once():
    code = (
        "import os, signal\nfrom dotori.train.stop import stop_requests\n"
        "with stop_requests(None):\n    os.kill(os.getpid(), 2)\n    os.kill(os.getpid(), 2)\n    print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "")


def test_the_ledger_keeps_every_line(tmp_path):
    with Ledger(tmp_path, tensorboard=False) as ledger:
        ledger.write("step", {"step": 0, "loss": 1 / 3})
        ledger.write("sample", {"step": 1, "text": "도토리"})
    lines = read_ledger(tmp_path / "metrics.jsonl")
    assert lines == [{"kind": "step", "step": 0, "loss": 1 / 3}, {"kind": "sample", "step": 1, "text": "도토리"}]


def test_a_ledger_on_a_full_disk_says_so(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with Ledger(tmp_path, tensorboard=False) as ledger, pytest.raises(DiskError, match="free"):
        ledger.write("step", {"step": 0})


def test_tensor_files_are_safetensors_with_their_hash(tmp_path):
    tensors = {
        "odd": torch.arange(3, dtype=torch.uint8),
        "half": torch.randn(3, 5).bfloat16(),
        "a": torch.randn(7, 3).t(),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
    }
    digest = write_tensors(tmp_path / "x.safetensors", tensors)
    assert digest == sha256_file(tmp_path / "x.safetensors")
    read = load_file(tmp_path / "x.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)


def make_identity(**changed):
    settings = TrainSettings(**({"steps": 3} | changed))
    return identity(settings, {"data": "abc"}, torch.device("cpu"), torch.float32)


def test_what_only_watches_a_run_may_change(tmp_path):
    before, now = make_identity(), make_identity(save_every=7, on_bad_step="stop", samples=("a",))
    assert changes(before, now, [], tmp_path) == []


def test_any_other_change_is_refused_by_name_or_recorded(tmp_path):
    before, now = make_identity(), make_identity(lr=0.5) | {"data": "abd", "threads": -1}
    with pytest.raises(UserError, match=r'data: abc -> abd.*settings.lr: 0.01 -> 0.5.*"threads"'):
        changes(before, now, [], tmp_path)
    with pytest.raises(UserError, match=r"settings.lr"):
        changes(before, now, ["data", "threads"], tmp_path)
    accepted = changes(before, now, ["data", "threads", "settings.lr"], tmp_path)
    assert accepted[0] == "data: abc -> abd"
    assert len(accepted) == 3
