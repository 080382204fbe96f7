"""A run of the tunnel as a value: what it trains, what it begins from, and the address that follows from both.

    runs/ID/               the finished model folder, as any training stage leaves it
    runs/ID.partial/       under way, or pruned: the checkpoints of an unfinished run
    runs/ID.job.json       what was asked, written before the run starts
    runs/ID.ended.json     a run that ended without a model: {"status": "diverged" | "pruned", "reason", ...}

ID is the start of a hash over the settings that decide the numbers, the run it continues, the data and the code that
trains: a changed recipe or another version makes other addresses, so that runs made otherwise are never mixed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from dotori import __version__
from dotori.checkpoint.lineage import FILE, read_lineage
from dotori.files import atomic_write, read_json, sha256_json, to_json
from dotori.train.identity import code_hash, settings_json
from dotori.train.settings import FREE, TrainSettings

Kind = Literal["train", "sft", "average"]


@cache
def made_by() -> str:
    """The version, code and PyTorch that runs are made with."""
    return f"{__version__}, code {code_hash()[:16]}, torch {torch.__version__}"


@dataclass(frozen=True)
class Job:
    """One run. `init`: the run it begins from; `members`: runs whose stable weights an "average" takes the mean of.

    `data`: hash of the dataset folder; `parents`: further hashes that its lineage shall carry; `label`: for people.
    """

    settings: TrainSettings
    data: str
    init: Job | None = None
    kind: Kind = "train"
    members: tuple[Job, ...] = ()
    parents: tuple[tuple[str, str], ...] = ()
    label: str = field(default="", compare=False)

    @cached_property
    def id(self) -> str:
        """The content address: 16 hexadecimal digits."""
        decides = {name: value for name, value in settings_json(self.settings).items() if name not in FREE}
        return sha256_json(
            {
                "settings": decides,
                "data": self.data,
                "init": self.init.id if self.init else None,
                "kind": self.kind,
                "members": [member.id for member in self.members],
                "parents": dict(self.parents),
                "dotori": made_by(),
            }
        )[:16]

    @property
    def needs(self) -> tuple[Job, ...]:
        """The runs that must be finished before this one starts."""
        return (*([self.init] if self.init else []), *self.members)

    @property
    def tokens(self) -> int:
        """Tokens it trains on, without those of the run it continues."""
        steps = self.settings.total_steps
        assert steps is not None
        return 0 if self.kind == "average" else steps * self.settings.batch_tokens

    def json(self) -> dict[str, Any]:
        """What is written to ID.job.json."""
        return {
            "id": self.id,
            "label": self.label,
            "kind": self.kind,
            "init": self.init.id if self.init else None,
            "members": [member.id for member in self.members],
            "parents": dict(self.parents),
            "data": self.data,
            "dotori": made_by(),
            "settings": settings_json(self.settings),
        }


@dataclass(frozen=True)
class Result:
    """How a run ended. bits_per_byte by language (empty unless done); seconds of wall time and threads it took."""

    id: str
    status: Literal["done", "diverged", "pruned"]
    bits_per_byte: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0
    threads: int = 1
    reason: str = ""

    @property
    def score(self) -> float:
        """Mean bits per byte over the languages; infinite when the run diverged, so that comparisons need no case."""
        values = self.bits_per_byte.values()
        return sum(values) / len(values) if values else float("inf")


def with_needs(jobs: Iterable[Job]) -> list[Job]:
    """Every job once, with all the runs that it continues, those first."""
    found: dict[str, Job] = {}

    def add(job: Job) -> None:
        for need in job.needs:
            add(need)
        found.setdefault(job.id, job)

    for job in jobs:
        add(job)
    return list(found.values())


def read_result(runs: Path, run: str) -> Result | None:
    """The result of a finished or ended run, None when it is neither."""
    if (runs / run / FILE).is_file():
        metrics = read_lineage(runs / run).metrics
        asked = read_json(runs / f"{run}.job.json", "run of the tunnel")
        return Result(
            run, "done", metrics["bits_per_byte"], metrics["tokens"], metrics["seconds"], asked.get("threads", 1)
        )
    ended = runs / f"{run}.ended.json"
    return Result(**read_json(ended, "run of the tunnel")) if ended.is_file() else None


def write_ended(runs: Path, result: Result) -> None:
    """Marks a run that ended without a model."""
    atomic_write(runs / f"{result.id}.ended.json", to_json(result.__dict__))


def write_job(runs: Path, job: Job, threads: int) -> int:
    """Notes what is asked; returns the threads of the run, which are those it was first started with."""
    path = runs / f"{job.id}.job.json"
    if path.is_file():
        threads = int(read_json(path, "run of the tunnel")["threads"])
    else:
        atomic_write(path, to_json(job.json() | {"threads": threads}))
    return threads


def curve(runs: Path, run: str) -> list[tuple[int, float]]:
    """(tokens, loss in nats a token) of a run's steps so far, skipped ones left out."""
    # A run that ends meanwhile moves from the second place to the first.
    places = (runs / run, runs / f"{run}.partial", runs / run)
    for path in (place / "metrics.jsonl" for place in places):
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [(line["tokens"], line["loss"]) for line in lines if line["kind"] == "step" and line["loss"]]
    return []
