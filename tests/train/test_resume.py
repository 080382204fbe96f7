"""Checkpoints: what comes back is bit for bit what was saved, damage is found, and what is whole is never lost."""

import copy
import random
import shutil

import pytest
import torch
from torch import nn

from dotori.errors import DiskError, UserError
from dotori.train.resume import (
    Progress,
    latest,
    load_optimizer,
    load_weights,
    progress_of,
    prune,
    read,
    restore,
    restore_ledger,
    save,
    step_folder,
)
from dotori.train.schedule import Plan
from dotori.train.spikes import Window


def make(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)


def learn(model, optimizer):
    """One step on random numbers: depends on weights, optimizer state and the random generator."""
    loss = (model(torch.randn(4, 6)) - torch.randn(4, 2)).square().sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def saved(tmp_path, steps=3):
    model, optimizer = make()
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n')
    for step in range(steps):
        learn(model, optimizer)
        progress = Progress(step=step + 1, elapsed=0.1 + 0.2, plan=Plan(1, 2, 9), window=Window([1 / 3], [2 / 3]))
        save(step_folder(tmp_path, step + 1), model, optimizer, progress, {"data": "abc"})
    return model, optimizer


def test_everything_comes_back_bit_for_bit(tmp_path):
    model, optimizer = saved(tmp_path)
    wanted = [learn(model, optimizer) for _ in range(3)]
    other_model, other_optimizer = make(seed=9)
    checkpoint = latest(tmp_path, pytest.fail)
    progress = restore(checkpoint, other_model, other_optimizer)
    assert progress == Progress(step=3, elapsed=0.1 + 0.2, plan=Plan(1, 2, 9), window=Window([1 / 3], [2 / 3]))
    assert [learn(other_model, other_optimizer) for _ in range(3)] == wanted
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other_model.parameters(), strict=True))


@pytest.mark.parametrize("forgotten", ["optimizer", "random", "weights"])
def test_control_a_restore_that_forgets_something_is_seen(tmp_path, forgotten):
    model, optimizer = saved(tmp_path)
    wanted = [learn(model, optimizer) for _ in range(3)]
    other_model, other_optimizer = make(seed=9)
    checkpoint = latest(tmp_path, pytest.fail)
    if forgotten != "weights":
        load_weights(checkpoint.folder, other_model)
    if forgotten != "optimizer":
        load_optimizer(checkpoint.folder, other_model, other_optimizer)
    if forgotten != "random":
        torch.set_rng_state(torch.frombuffer(bytearray.fromhex(checkpoint.state["random"]["cpu"]), dtype=torch.uint8))
    assert [learn(other_model, other_optimizer) for _ in range(3)] != wanted


def test_the_last_two_are_kept(tmp_path):
    saved(tmp_path, steps=4)
    prune(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000003", "step-00000004"]


def test_every_flipped_bit_is_found(tmp_path):
    saved(tmp_path, steps=1)
    folder, dice = step_folder(tmp_path, 1), random.Random(3)
    for file in sorted(folder.iterdir()):
        good = file.read_bytes()
        for _ in range(75):
            bad = bytearray(good)
            place = dice.randrange(len(bad))
            bad[place] ^= 1 << dice.randrange(8)
            if file.name == "state.json" and (good[place : place + 1].isspace() or bytes([bad[place]]).isspace()):
                continue  # white space between JSON tokens carries nothing
            file.write_bytes(bad)
            with pytest.raises(UserError):
                read(folder)
        file.write_bytes(good)
        read(folder)


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "metrics.jsonl", "state.json"])
def test_missing_truncated_and_exchanged_files_are_found(tmp_path, file):
    saved(tmp_path, steps=2)
    folder, other = step_folder(tmp_path, 2), step_folder(tmp_path, 1)
    good = (folder / file).read_bytes()
    (folder / file).write_bytes(good[:-2])
    with pytest.raises(UserError, match=file.split(".")[0]):
        read(folder)
    (folder / file).unlink()
    with pytest.raises(UserError, match=file.split(".")[0]):
        read(folder)
    if file not in ("metrics.jsonl", "state.json"):
        shutil.copyfile(other / file, folder / file)
        with pytest.raises(UserError, match="altered"):
            read(folder)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_taken(tmp_path):
    saved(tmp_path, steps=2)
    (step_folder(tmp_path, 2) / "weights.safetensors").write_bytes(b"rot")
    said = []
    checkpoint = latest(tmp_path, said.append)
    assert progress_of(checkpoint).step == 1
    assert "weights.safetensors was altered" in said[0]
    assert (tmp_path / "step-00000002.damaged").is_dir()
    (step_folder(tmp_path, 1) / "state.json").unlink()
    with pytest.raises(UserError, match="all 1 checkpoints are damaged"):
        latest(tmp_path, said.append)


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert latest(tmp_path, pytest.fail) is None


def test_another_model_is_refused(tmp_path):
    saved(tmp_path, steps=1)
    folder = step_folder(tmp_path, 1)
    with pytest.raises(UserError, match="one side only"):
        load_weights(folder, nn.Sequential(nn.Linear(6, 8)))
    with pytest.raises(UserError, match=r"shape \(8, 6\), the model \(8, 7\)"):
        load_weights(folder, nn.Sequential(nn.Linear(7, 8), nn.Tanh(), nn.Linear(8, 2)))
    small = nn.Sequential(nn.Linear(6, 8))
    with pytest.raises(UserError, match="this model has not"):
        load_optimizer(folder, small, torch.optim.AdamW(small.parameters()))


def test_the_ledger_is_cut_back(tmp_path):
    saved(tmp_path, steps=1)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 1}\n{"st')
    restore_ledger(latest(tmp_path, pytest.fail), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 0}\n'
    restore_ledger(None, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == ""


@pytest.mark.parametrize("room", [0, 100, 700, 1500])
def test_a_refusing_disk_leaves_the_checkpoint_before(tmp_path, room, file_size_limit):
    model, optimizer = saved(tmp_path, steps=1)
    before = copy.deepcopy(read(step_folder(tmp_path, 1)).state)
    with file_size_limit(room), pytest.raises(DiskError, match="nothing half-written"):
        save(step_folder(tmp_path, 2), model, optimizer, Progress(step=2), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "step-00000001"]
    assert read(step_folder(tmp_path, 1)).state == before
    save(step_folder(tmp_path, 2), model, optimizer, Progress(step=2), {})
    assert progress_of(latest(tmp_path, pytest.fail)).step == 2
