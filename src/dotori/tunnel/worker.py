"""The process that runs the tunnel's jobs one after another, for as long as its parent lives.

The parent speaks through a pipe: a job to run, a shape to time, and while a job runs a word to stop it. A closed pipe
means that the parent is gone: the run is saved and the process ends.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from dotori.adapt.sft import sft_stage
from dotori.errors import Interrupted, UserError
from dotori.runlog import RunLog
from dotori.train.resume import partial_folder
from dotori.train.stage import train_to
from dotori.tunnel.average import average_stage
from dotori.tunnel.job import Job, Result, made_by, read_result, write_ended
from dotori.tunnel.machine import tokens_per_second


def work(pipe: Connection, folder: Path, data: Path, number: int) -> None:
    """Runs in a process of its own until the pipe closes."""
    # Ctrl-C reaches every process of a terminal, SIGTERM those of a service; the parent decides and tells.
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    made_by()  # now, while the code is what the parent runs
    # Waits for a worker of a killed sweep to save and go.
    descriptor = os.open(folder / f".worker-{number}", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    while True:
        try:
            task, *rest = pipe.recv()
        except EOFError:
            return
        if task == "stop":
            continue
        answer = _timed(*rest) if task == "time" else _run(pipe, folder / "runs", data, *rest)
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return


def _timed(settings: Any, vocab_size: int, threads: int, seconds: float) -> dict[str, Any]:
    torch.set_num_threads(threads)
    return {"tokens_per_second": tokens_per_second(settings, vocab_size, seconds)}


def _run(pipe: Connection, runs: Path, data: Path, job: Job, threads: int) -> dict[str, Any]:
    """One job; the answer is {"result"}, {"interrupted"} or {"error"}."""
    torch.set_num_threads(threads)
    started, word = time.monotonic(), ""

    def stop() -> str | None:
        nonlocal word
        try:
            while not word and pipe.poll():
                _, reason, run = pipe.recv()
                word = reason if run == job.id else ""  # a word for the run before may come late
        except EOFError:
            word = "its sweep is gone"
        return word or None

    out = runs / job.id
    try:
        _STAGES[job.kind](job, runs, data, out, stop)
    except Interrupted:
        if word != "pruned":
            return {"interrupted": word}
        write_ended(runs, Result(job.id, "pruned", seconds=time.monotonic() - started, threads=threads))
    except UserError as error:
        # Three bad steps in twenty end a run and leave this file: the rate was too high for it, which is a finding.
        if not (partial_folder(out) / "bad-step.json").is_file():
            return {"error": str(error)}
        write_ended(runs, Result(job.id, "diverged", seconds=time.monotonic() - started, reason=str(error)))
    except Exception:
        return {"error": traceback.format_exc()}
    result = read_result(runs, job.id)
    assert result is not None
    return {"result": asdict(result)}


def _train(job: Job, runs: Path, data: Path, out: Path, stop: Callable[[], str | None]) -> None:
    init = runs / job.init.id if job.init else None
    train_to(job.settings, init, data, out, RunLog(quiet=True), stop, "train", (), dict(job.parents))


def _sft(job: Job, runs: Path, data: Path, out: Path, stop: Callable[[], str | None]) -> None:
    assert job.init is not None
    sft_stage(job.settings, runs / job.init.id, data, out, RunLog(quiet=True), stop)


def _average(job: Job, runs: Path, data: Path, out: Path, stop: Callable[[], str | None]) -> None:
    average_stage(job.settings, [runs / member.id for member in job.members], data, out)


_STAGES = {"train": _train, "sft": _sft, "average": _average}
