"""Whether packing small runs onto cores pays: the tunnel's queue against one run after another with all cores each.

    python benchmarks/tunnel_queue.py DATASET [--runs 24] [--seconds 60] [--batch 512]

Each run trains 0.1 M parameters outside of the embedding with Muon, `--batch` tokens a step (512 lies in the range that
the batch law found best for such models, 470 to 970) and the precision that the queue measured to be worth it, long
enough to take `--seconds` alone with all cores. The two ways work on runs of different seeds, in turns of `--block`
runs, so that a change of the machine's speed meets both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from measure import write

from dotori.data.build import data_lineage
from dotori.data.loader import read_manifest
from dotori.files import sha256_json
from dotori.model.count import non_embedding_parameters
from dotori.runlog import RunLog
from dotori.train.settings import ModelSettings, Phase, TrainSettings
from dotori.tunnel.job import Job
from dotori.tunnel.queue import Queue, open_queue


def base(data: Path, batch: int) -> TrainSettings:
    """The run: 64 wide, two layers, on the dataset's text; `batch` tokens a step."""
    domains = read_manifest(data)["domains"]
    weights = {name: 1.0 for name, entry in domains.items() if entry["format"] == "text"}
    return TrainSettings(
        model=ModelSettings(hidden_size=64, num_hidden_layers=2, num_attention_heads=2),
        steps=1,
        context=128,
        batch_tokens=batch,
        optimizer="muon",
        lr=0.01,
        matrix_lr=0.02,
        weight_decay=0.0,
        phases=(Phase(weights=weights),),
        validation_bytes=20_000,
        keep_stable=False,
    )


def timed(queue: Queue, jobs: list[Job], name: str) -> float:
    """Wall seconds of all jobs."""
    started = time.perf_counter()
    results = queue.run(jobs, name)
    assert all(results[job.id].status == "done" for job in jobs)
    return time.perf_counter() - started


def main() -> None:
    """Measures and writes results/tunnel_queue.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a dataset folder")
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--block", type=int, default=6)
    parser.add_argument("--batch", type=int, default=512, help="tokens a step")
    options = parser.parse_args()
    cores, key = torch.get_num_threads(), sha256_json(data_lineage(options.data))
    s = base(options.data, options.batch)
    with (
        tempfile.TemporaryDirectory() as scratch,
        RunLog() as log,
        open_queue(Path(scratch) / "packed", options.data, log, lambda: None, cores) as packed,
        open_queue(Path(scratch) / "serial", options.data, log, lambda: None, 1) as serial,
    ):
        packed.measure([s])
        serial.measure([s])
        s = replace(s, precision=packed.machine.precision)
        # One run at a time gets every core, whatever the queue itself would choose.
        serial.machine = replace(serial.machine, workers=1, threads=cores, threads_alone=cores)
        # A run costs a fixed time besides its steps: two probes tell them apart.
        short, long = (timed(serial, [Job(replace(s, steps=n), key, label="probe")], "probe") for n in (400, 1600))
        a_step = (long - short) / 1200
        steps = round((options.seconds - short) / a_step) + 400

        def jobs(first: int, seed: int) -> list[Job]:
            numbers = range(first, min(first + options.block, options.runs))
            return [Job(replace(s, steps=steps, seed=seed + n), key, label=f"run {n}") for n in numbers]

        spent: dict[str, list[float]] = {"packed": [], "one_after_another": []}
        for first in range(0, options.runs, options.block):
            spent["packed"].append(timed(packed, jobs(first, 1000), f"packed, from run {first}"))
            took = timed(serial, jobs(first, 5000), f"one after another, from run {first}")
            spent["one_after_another"].append(took)
        workers, threads = packed.machine.workers, packed.machine.threads
    assert s.model is not None
    total = {name: sum(turns) for name, turns in spent.items()}
    report = {
        "runs": options.runs,
        "steps_a_run": steps,
        "batch_tokens": options.batch,
        "non_embedding_parameters": non_embedding_parameters(s.model.config(2048, s.context, (0, 1, 2))),
        "seconds": {name: round(value, 1) for name, value in total.items()},
        "seconds_of_turns": {name: [round(value, 1) for value in turns] for name, turns in spent.items()},
        "seconds_a_run_alone": round(total["one_after_another"] / options.runs, 1),
        "ratio": round(total["one_after_another"] / total["packed"], 3),
        "workers": workers,
        "threads_a_worker": threads,
        "precision": s.precision,
    }
    write("tunnel_queue", report)


if __name__ == "__main__":
    main()
