"""The queue: what is finished is never made again, whatever ended the sweep; divergence is a result."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_tunnel import TINY, job_of, sweep

from dotori.errors import Interrupted, UserError
from dotori.runlog import RunLog
from dotori.train.lock import locked
from dotori.train.resume import latest
from dotori.train.settings import Phase
from dotori.train.stage import train_stage
from dotori.tunnel.branches import Trunk
from dotori.tunnel.job import Job, curve, made_by, read_result
from dotori.tunnel.prove import address
from dotori.tunnel.queue import open_queue
from dotori.tunnel.tunnel import plan_tunnel, run_tunnel


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


def test_the_address_follows_from_what_decides_the_numbers(data_hash):
    job = job_of(data_hash)
    assert job.id == replace(job, label="other").id
    assert job.id == replace(job, settings=replace(TINY, save_every=3)).id
    others = [
        replace(job, settings=replace(TINY, lr=0.03)),
        replace(job, data="0" * 64),
        replace(job, init=job_of(data_hash, seed=3)),
        replace(job, parents=(("prediction", "1" * 64),)),
        replace(job, kind="sft"),
    ]
    assert len({one.id for one in [job, *others]}) == 6


def test_finished_runs_are_kept_and_others_made(ground, data_hash):
    jobs = [job_of(data_hash, seed=seed) for seed in range(3)]
    first = ground.queue.run(jobs[:2], "first")
    assert [first[job.id].status for job in jobs[:2]] == ["done", "done"]
    assert all(0 < result.score < 20 and result.tokens == 6 * 128 for result in first.values())
    times = {job.id: (ground.queue.runs / job.id / "lineage.json").stat().st_mtime_ns for job in jobs[:2]}
    second = ground.queue.run(jobs, "second")
    assert {**second, **first} == second
    assert all((ground.queue.runs / run / "lineage.json").stat().st_mtime_ns == at for run, at in times.items())


def test_a_run_of_the_queue_is_the_run_of_the_training_stage(ground, data, data_hash, tmp_path):
    job = job_of(data_hash)
    ground.queue.run([job], "one")
    threads = torch.get_num_threads()
    torch.set_num_threads(json.loads((ground.queue.runs / f"{job.id}.job.json").read_text())["threads"])
    try:
        train_stage(TINY, None, data, tmp_path / "alone", RunLog(quiet=True), lambda: None)
    finally:
        torch.set_num_threads(threads)
    assert same(weights(tmp_path / "alone"), weights(ground.queue.runs / job.id))


def test_a_trunk_in_pieces_is_the_trunk(ground):
    pieces = Trunk(ground, 2, 1, [512, 1024, 2048], "pieces")
    whole = Trunk(ground, 2, 1, [2048], "whole")
    a, b = pieces.decayed(2560, 2048), whole.decayed(2560, 2048)
    assert a.id != b.id
    ground.queue.run([a, b], "trunks")
    assert same(weights(ground.queue.runs / a.id), weights(ground.queue.runs / b.id))


def test_a_shuffled_trunk_is_caught(ground):
    """The control of the test above: another order of the same data ends in other weights."""
    straight = Trunk(ground, 2, 1, [1024], "a")
    other = Trunk(ground, 2, 1, [1024], "b", {"seed": TINY.seed + 1})
    a, b = straight.decayed(1536, 1024), other.decayed(1536, 1024)
    ground.queue.run([a, b], "trunks")
    assert not same(weights(ground.queue.runs / a.id), weights(ground.queue.runs / b.id))


def test_a_diverged_run_is_a_result_and_so_is_what_continues_it(ground, data_hash):
    wild = job_of(data_hash, lr=1e12, steps=40, warmup_steps=0, schedule="constant", keep_stable=True)
    calm = job_of(data_hash)
    child = Job(
        settings=replace(TINY, model=None, init_optimizer=True, phases=(), decay_share=1.0),
        data=data_hash,
        init=wild,
        label="child",
    )
    found = ground.queue.run([wild, calm, child], "mixed")
    assert found[wild.id].status == "diverged"
    assert "bad steps" in found[wild.id].reason
    assert found[wild.id].score == float("inf")
    assert found[child.id].status == "diverged"
    assert found[calm.id].status == "done"
    assert read_result(ground.queue.runs, wild.id) == found[wild.id]


def test_a_judged_run_is_pruned_and_its_curve_kept(ground, data_hash):
    job = job_of(data_hash, steps=4000)
    found = ground.queue.run([job], "judged", judge=lambda job, points: len(points) > 5)
    assert found[job.id].status == "pruned"
    points = curve(ground.queue.runs, job.id)
    assert 5 < len(points) < 4000
    assert points[0][0] == 128


def test_an_error_of_a_run_is_told_and_the_others_are_saved(ground, data_hash):
    wrong = job_of(data_hash, phases=(Phase(weights={"nowhere": 1.0}),))
    with pytest.raises(UserError, match="unknown domain 'nowhere'"):
        ground.queue.run([wrong, other := job_of(data_hash, steps=3000)], "wrong")
    assert latest(ground.queue.runs / f"{other.id}.partial", print) is not None


def test_a_killed_sweep_continues_to_the_same_weights(ground, data, data_hash, tmp_path):
    jobs = [job_of(data_hash, seed=seed, steps=120) for seed in (7, 8)]
    ground.queue.run(jobs, "uninterrupted")
    folder = tmp_path / "killed"
    command = f"from tiny_tunnel import sweep; sweep({str(folder)!r}, {str(data)!r}, {data_hash!r}, (7, 8))"
    with subprocess.Popen([sys.executable, "-c", command], cwd=Path(__file__).parent) as process:
        until = time.monotonic() + 120
        while not any(len(curve(folder / "runs", job.id)) > 20 for job in jobs) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
    assert not all((folder / "runs" / job.id / "lineage.json").is_file() for job in jobs)
    sweep(folder, data, data_hash, (7, 8))
    for job in jobs:
        assert same(weights(folder / "runs" / job.id), weights(ground.queue.runs / job.id))


def test_a_second_sweep_in_a_folder_is_refused(small, data, tmp_path):
    with locked(tmp_path / "t"), RunLog(quiet=True) as log:
        for start in (run_tunnel, plan_tunnel):
            arguments = (log, lambda: None) if start is run_tunnel else (log,)
            with pytest.raises(UserError, match="in use by process"):
                start(small, data, tmp_path / "t", "check", *arguments)


def test_sigterm_to_all_processes_leaves_the_word_to_the_parent(data, data_hash, tmp_path):
    job = job_of(data_hash, steps=300)
    with RunLog(quiet=True) as log, open_queue(tmp_path / "t", data, log, lambda: None, 1) as queue:
        queue.measure([TINY])
        os.kill(queue.workers[0].process.pid, signal.SIGTERM)
        assert queue.run([job], "terminated")[job.id].status == "done"


def test_a_worker_that_was_killed_is_told_in_one_line(data, data_hash, tmp_path):
    with RunLog(quiet=True) as log, open_queue(tmp_path / "t", data, log, lambda: None, 1) as queue:
        queue.measure([TINY])
        queue.workers[0].process.kill()
        queue.workers[0].process.join()
        with pytest.raises(UserError, match=r"a worker ended with code -9; .* --set tunnel\.workers=1"):
            queue.run([job_of(data_hash)], "killed")


def test_another_version_makes_other_addresses(data_hash, monkeypatch):
    before = job_of(data_hash)
    assert address(before.json()) == before.id
    monkeypatch.setattr("dotori.tunnel.job.code_hash", lambda: "0" * 64)
    made_by.cache_clear()
    try:
        assert job_of(data_hash).id != before.id
    finally:
        made_by.cache_clear()


def test_a_stopped_sweep_says_so_and_goes_on(data, data_hash, tmp_path):
    job, reasons = job_of(data_hash, steps=1500), iter([None] + ["stopped by SIGINT"] * 100)
    with RunLog(quiet=True) as log:
        with open_queue(tmp_path / "t", data, log, lambda: next(reasons), 1) as queue:
            queue.measure([TINY])
            with pytest.raises(Interrupted, match="stopped by SIGINT; every run is saved"):
                queue.run([job], "stopped")
        assert read_result(tmp_path / "t" / "runs", job.id) is None
        with open_queue(tmp_path / "t", data, log, lambda: None, 1) as queue:
            queue.measure([TINY])
            assert queue.run([job], "again")[job.id].status == "done"


def test_what_waits_longest_begins_first_and_beside_takes_a_worker(ground, data_hash):
    long, short = job_of(data_hash, steps=60, seed=1), job_of(data_hash, steps=7)
    ground.queue.beside = [long]
    ground.queue.run([short], "foreground")
    assert (ground.queue.runs / f"{long.id}.job.json").is_file()
    assert ground.queue.run([long], "waited for")[long.id].status == "done"
