"""The tunnel's tests train this: a model of 16 units on the story world, in a second."""

from dataclasses import replace
from pathlib import Path

from dotori.runlog import RunLog
from dotori.train.lock import locked
from dotori.train.settings import ModelSettings, Phase, TrainSettings
from dotori.tunnel.job import Job
from dotori.tunnel.queue import open_queue

TINY = TrainSettings(
    model=ModelSettings(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
    steps=6,
    context=32,
    batch_tokens=128,
    warmup_steps=2,
    decay="linear",
    decay_share=0.5,
    lr=0.02,
    validation_bytes=4000,
    precision="float32",
    phases=(Phase(weights={"story": 1.0}),),
)


def job_of(data_hash, **changed):
    return Job(settings=replace(TINY, **changed), data=data_hash, label="tiny")


def sweep(folder, data, data_hash, seeds):
    """A sweep of 120 steps for each seed, in a process of its own when it is to be killed."""
    folder = Path(folder)
    with RunLog(quiet=True) as log, locked(folder), open_queue(folder, Path(data), log, lambda: None, 2) as queue:
        queue.measure([TINY])
        queue.run([job_of(data_hash, seed=seed, steps=120) for seed in seeds], "sweep")
