"""The tunnel's queue: runs that wait for each other, packed onto the machine by worker processes.

What is finished stands in folders and is never made again, so that a sweep that was cut, by Ctrl-C or by SIGKILL, goes
on with the same command. One sweep works in one folder; the second refuses.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from dotori.data.loader import read_manifest
from dotori.errors import Interrupted, UserError
from dotori.runlog import RunLog
from dotori.train.settings import TrainSettings
from dotori.tunnel.board import Board
from dotori.tunnel.job import Job, Result, curve, read_result, with_needs, write_ended, write_job
from dotori.tunnel.machine import Machine, measure_machine
from dotori.tunnel.worker import work

_SAVE_SECONDS = 20.0
_TICK_SECONDS = 0.5
_WORKERS_OF_GPU = 4
Judge = Callable[[Job, list[tuple[int, float]]], bool]


class Worker:
    """A process and what it does."""

    def __init__(self, folder: Path, data: Path, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process: BaseProcess = context.Process(target=work, args=(far, folder, data, number), daemon=True)
        self.process.start()
        far.close()
        self.job: Job | None = None


class Queue:
    """Runs jobs in `folder`/runs on the dataset `data`. Made by `open_queue`.

    Attributes: `runs`, `machine` (once measured), `vocab_size`, and `beside`: long runs that take a worker whenever
    other jobs are run; nobody waits for them until they are run themselves.
    """

    machine: Machine

    def __init__(self, folder: Path, data: Path, log: RunLog, stop: Callable[[], str | None], workers: int) -> None:
        self.folder, self.data, self.log, self.stop = folder, data, log, stop
        self.runs = folder / "runs"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.vocab_size = int(read_manifest(data)["vocab_size"])
        self.beside: list[Job] = []
        self.workers = [Worker(folder, data, number) for number in range(workers)]

    def measure(self, shapes: list[TrainSettings]) -> None:
        """Fills `machine`, from the folder or by timing the shapes, the widest last."""
        if not (self.folder / "machine.json").is_file():
            self.log.say("tunnel: measuring how fast this machine trains these shapes")
        self.machine = measure_machine(
            self.folder / "machine.json", shapes, self.vocab_size, len(self.workers), self._time
        )

    def seconds(self, job: Job) -> float:
        """What a run is expected to take on one worker."""
        if job.kind == "average":
            return 3.0
        # Two languages, about 2.5 bytes a token, and windows that overlap by half.
        reads = 1.5 * job.settings.validation_bytes
        root = job
        while root.settings.model is None and root.init is not None:
            root = root.init
        return self.machine.seconds(replace(job.settings, model=root.settings.model), self.vocab_size, int(reads))

    def curve(self, job: Job) -> list[tuple[int, float]]:
        """(tokens, loss) of a job's steps so far."""
        return curve(self.runs, job.id)

    def run(self, jobs: Sequence[Job], title: str, judge: Judge | None = None) -> dict[str, Result]:
        """Runs what is not finished of `jobs` and all that they need; results by id, diverged and pruned ones included.

        `judge(job, curve so far)` may end a run early ("pruned"). Raises Interrupted once `stop` gives a reason, with
        everything saved, and UserError with the message of a run that could not be made.
        """
        found: dict[str, Result] = {}
        left: dict[str, Job] = {}
        for job in with_needs(jobs):
            result = read_result(self.runs, job.id)
            if result is None:
                left[job.id] = job
            else:
                found[job.id] = result
        weights = chains(left, self.seconds)
        expected = {run: self.seconds(job) for run, job in left.items()}
        with Board(self.log, title, self.runs, expected) as board:
            board.finished = len(found)
            while left:
                if reason := self.stop():
                    self._stop_all(reason)
                self._spread_divergence(left, found)
                self._dispatch(left, weights)
                for worker in self._answered():
                    self._collect(worker, left, found, board)
                for worker in self._busy():
                    if judge and worker.job and judge(worker.job, curve(self.runs, worker.job.id)):
                        self._send(worker, ("stop", "pruned", worker.job.id))
                board.show([worker.job for worker in self._busy() if worker.job], len(left))
        return found

    def _spread_divergence(self, left: dict[str, Job], found: dict[str, Result]) -> None:
        """What continues a run that has no model cannot be made either."""
        for job in list(left.values()):
            lost = next((need for need in job.needs if need.id in found and found[need.id].status != "done"), None)
            if lost is not None:
                result = Result(job.id, "diverged", reason=f"it continues {lost.id}, which {found[lost.id].status}")
                write_job(self.runs, job, 1)
                write_ended(self.runs, result)
                found[job.id] = result
                del left[job.id]

    def _dispatch(self, left: dict[str, Job], weights: dict[str, float]) -> None:
        running = {worker.job.id for worker in self._busy() if worker.job}
        ready = [job for job in left.values() if job.id not in running and not any(n.id in left for n in job.needs)]
        ready.sort(key=lambda job: -weights[job.id])
        long = [
            job for job in self.beside if job.id not in running | left.keys() and not read_result(self.runs, job.id)
        ]
        # Fewer than were planned with, where this call asks for fewer. One worker stays with what is waited for.
        workers = self.workers[: self.machine.workers]
        ready = long[: len(workers) - 1] + ready
        idle = [worker for worker in workers if worker.job is None]
        for worker, job in zip(idle, ready, strict=False):
            is_alone = len(left) == 1 and job.id in left and not running
            threads = self.machine.threads_alone if is_alone else self.machine.threads
            threads = write_job(self.runs, job, threads)
            settings = job.settings
            if job.kind != "average":
                steps = max(1, settings.total_steps or 1)
                every = max(20, round(_SAVE_SECONDS * steps / max(self.seconds(job), 1e-3)))
                settings = replace(settings, save_every=min(every, 10**9))
            worker.job = job
            self._send(worker, ("run", replace(job, settings=settings), threads))

    def _collect(self, worker: Worker, left: dict[str, Job], found: dict[str, Result], board: Board) -> None:
        job, answer = worker.job, self._receive(worker)
        assert job is not None
        worker.job = None
        if "error" in answer:
            self._stop_all(f"{job.label or job.id} failed", quietly=True)
            raise UserError(f"tunnel: run {job.id} ({job.label}) could not be made: {answer['error']}")
        if "interrupted" in answer:
            self._stop_all(answer["interrupted"])
        result = Result(**answer["result"])
        if left.pop(job.id, None) is not None:
            found[job.id] = result
        board.done(job, result)

    def _stop_all(self, reason: str, quietly: bool = False) -> None:
        """Lets every worker save what it does, then raises Interrupted."""
        for worker in self._busy():
            assert worker.job is not None
            self._send(worker, ("stop", reason, worker.job.id))
        for worker in self._busy():
            self._receive(worker)
            worker.job = None
        if not quietly:
            raise Interrupted(f"tunnel: {reason}; every run is saved; run the same command to continue")

    def _answered(self) -> Iterator[Worker]:
        busy = {worker.pipe: worker for worker in self._busy()}
        for pipe in wait(list(busy), timeout=_TICK_SECONDS):
            assert isinstance(pipe, Connection)
            yield busy[pipe]

    def _busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.job is not None]

    def _send(self, worker: Worker, message: tuple[Any, ...]) -> None:
        """Tells a worker; one that is gone is found out when its answer is read."""
        with contextlib.suppress(OSError):
            worker.pipe.send(message)

    def _receive(self, worker: Worker) -> dict[str, Any]:
        try:
            return worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            raise UserError(
                f"tunnel: a worker ended with code {worker.process.exitcode}; memory may be short; what is finished "
                "stays; run the same command to continue, with --set tunnel.workers=1 where memory is short"
            ) from None

    def _time(self, settings: TrainSettings, threads: int, count: int) -> list[float]:
        for worker in self.workers[:count]:
            self._send(worker, ("time", settings, self.vocab_size, threads, 0.7))
        return [self._receive(worker)["tokens_per_second"] for worker in self.workers[:count]]

    def close(self) -> None:
        """Ends the workers."""
        for worker in self.workers:
            worker.pipe.close()
        deadline = time.monotonic() + 30
        for worker in self.workers:
            worker.process.join(max(0.1, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()


@contextlib.contextmanager
def open_queue(
    folder: Path, data: Path, log: RunLog, stop: Callable[[], str | None], workers: int | None
) -> Iterator[Queue]:
    """A queue whose workers live as long as the block."""
    queue = Queue(folder, data, log, stop, workers or _default_workers())
    try:
        yield queue
    finally:
        queue.close()


def _default_workers() -> int:
    """One a core; on a GPU, whose memory each process takes a piece of, a few."""
    cores = max(1, torch.get_num_threads())
    return min(_WORKERS_OF_GPU, cores) if torch.cuda.is_available() else cores


def chains(left: dict[str, Job], seconds: Callable[[Job], float]) -> dict[str, float]:
    """The seconds of each job and of the longest chain of those that wait for it: what is long begins first."""
    own = {run: seconds(job) for run, job in left.items()}
    total = dict(own)
    for job in reversed(list(left.values())):
        for need in job.needs:
            if need.id in total:
                total[need.id] = max(total[need.id], own[need.id] + total[job.id])
    return total
