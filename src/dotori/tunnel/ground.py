"""What every chapter stands on: the settings, the queue, the dataset, and the time it may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dotori.data.build import data_lineage
from dotori.data.loader import read_manifest, validation_languages
from dotori.errors import UserError
from dotori.files import atomic_write, read_json, sha256_json, to_json
from dotori.model.config import ModelConfig
from dotori.model.count import flops_per_token
from dotori.runlog import RunLog
from dotori.train.settings import Phase, TrainSettings
from dotori.tunnel.job import Job, Kind, Result, with_needs
from dotori.tunnel.queue import Queue, chains
from dotori.tunnel.settings import CHAPTER_MINUTES, SHARES, TunnelSettings, shape

# Of the time given, what is planned: the rest is for what runs slower than it was measured.
_PLANNED = 0.85
_VALIDATION_BYTES = 100_000


class TooShortError(UserError):
    """The budget does not hold a chapter; `minutes` is the least that does."""

    def __init__(self, message: str, minutes: float) -> None:
        super().__init__(message)
        self.minutes = minutes


@dataclass(frozen=True)
class Ground:
    """`alone`: one chapter has the whole budget. `tuned`: what earlier chapters chose, by name of the setting."""

    s: TunnelSettings
    queue: Queue
    folder: Path
    log: RunLog
    alone: bool
    tuned: dict[str, Any]

    @property
    def data_hash(self) -> str:
        """Hash of the dataset that all runs read."""
        return sha256_json(data_lineage(self.queue.data))

    @property
    def languages(self) -> list[str]:
        """The languages with held-out text."""
        return validation_languages(self.queue.data)

    def train_tokens(self) -> int:
        """Tokens of the base mixture that can be read before the first of its domains repeats."""
        domains, weights = read_manifest(self.queue.data)["domains"], self.phases[0].weights
        return min(
            round(domains[name]["splits"].get("train", {}).get("tokens", 0) * sum(weights.values()) / weight)
            for name, weight in weights.items()
            if weight > 0
        )

    def settings(self, heads: int, layers: int, tokens: int, changed: Mapping[str, Any]) -> TrainSettings:
        """The base run at another size and length, with what earlier chapters chose; `changed` fields win.

        Fields of the model (scale_emb, scale_depth, init_std) may stand among them.
        """
        values = self.tuned | dict(changed)
        batch = values.get("batch_tokens", self.s.train.batch_tokens)
        own = {name: values.pop(name) for name in ("scale_emb", "scale_depth", "init_std") if name in values}
        given: dict[str, Any] = {
            "model": replace(shape(self.s, heads, layers), **own),
            "tokens": max(1, round(tokens / batch)) * batch,
            "steps": None,
            "minutes": None,
            "phases": self.phases,
            "precision": self.queue.machine.precision,
            "keep_stable": False,
            "compile": "off",  # takes longer than these runs
            "init_optimizer": False,
            "validate_every": 0,
            "validation_bytes": _VALIDATION_BYTES,
            "samples": (),
            "on_bad_step": "skip",
            "tensorboard": False,
            "accept_changes": (),
        }
        return replace(self.s.train, **(given | values))

    def rates(self, factor: float) -> dict[str, float]:
        """Both rates, `factor` times what earlier chapters found or the base run has."""
        return {name: self.tuned.get(name, getattr(self.s.train, name)) * factor for name in ("lr", "matrix_lr")}

    def job(
        self,
        settings: TrainSettings,
        label: str,
        init: Job | None = None,
        kind: Kind = "train",
        members: tuple[Job, ...] = (),
        parents: tuple[tuple[str, str], ...] = (),
    ) -> Job:
        """A run on this ground's data."""
        return Job(settings, self.data_hash, init, kind, members, parents, label)

    def config(self, heads: int, layers: int) -> ModelConfig:
        """The configuration of a size."""
        return shape(self.s, heads, layers).config(self.queue.vocab_size, self.s.train.context, (0, 1, 2))

    def size(self, heads: int, layers: int) -> float:
        """N of the scaling law: training FLOPs a token / 6 (head and attention, not the embedding), so C = 6 N D."""
        return flops_per_token(self.config(heads, layers), self.s.train.context) / 6

    def seconds(self, chapter: str) -> float:
        """Seconds of wall time that a chapter may plan."""
        minutes = min(self.s.minutes, CHAPTER_MINUTES) if self.alone else self.s.minutes * SHARES[chapter]
        return 60 * minutes * _PLANNED

    def wall(self, jobs: Sequence[Job]) -> float:
        """Seconds that jobs and all they need should take: every worker busy, and no less than the longest chain."""
        left = {job.id: job for job in with_needs(jobs)}
        longest = max(chains(left, self.queue.seconds).values(), default=0.0)
        return max(sum(map(self.queue.seconds, left.values())) / self.queue.machine.workers, longest)

    def most_tokens(self, chapter: str, cost: Callable[[int], float], least: int, most: int) -> int:
        """The most tokens, `least` to `most`, whose `cost` (seconds of wall time) fits the chapter's, to a twentieth.

        Raises TooShortError with the least budget that would do.
        """
        allowed, needed = self.seconds(chapter), cost(least)
        if needed > allowed:
            share = 1.0 if self.alone else SHARES[chapter]
            minutes = needed / (60 * _PLANNED * share)
            given = f"{self.s.minutes:g} minutes" if self.s.minutes >= 1 else f"{60 * self.s.minutes:g} seconds"
            rule = f"the chapter {chapter} needs at least {minutes:.1f} minutes of budget on this machine"
            fix = f"give --budget {minutes + 0.5:.0f}m"
            if self.alone and minutes > CHAPTER_MINUTES:
                rule += f" and gets {CHAPTER_MINUTES:g} at most when it is run alone"
                fix = "choose smaller or fewer sizes, or run all chapters"
            raise TooShortError(f"budget: {given}; {rule}; {fix}", minutes)
        low, high = least, most
        while cost(high) > allowed and high > 1.05 * low:
            middle = round((low * high) ** 0.5)
            low, high = (middle, high) if cost(middle) <= allowed and middle > low else (low, middle)
        return high if cost(high) <= allowed else low

    def save(
        self, chapter: str, found: dict[str, Any], jobs: Sequence[Job], results: dict[str, Result]
    ) -> dict[str, Any]:
        """Writes the chapter's JSON with its evidence and cost, and returns it."""
        made = [results[job.id] for job in jobs if job.id in results]
        found |= {
            "evidence": sorted({result.id for result in made}),
            "tokens": sum(result.tokens for result in made),
            "core_seconds": round(sum(result.seconds * result.threads for result in made), 1),
        }
        atomic_write(self.folder / f"{chapter}.json", to_json(found))
        return found

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The base mixture; where none is given, the text domains by their tokens: conversations wait for the decay."""
        if self.s.train.phases:
            return self.s.train.phases[:1]
        domains = read_manifest(self.queue.data)["domains"]
        sizes = {n: entry["splits"].get("train", {}).get("tokens", 0) for n, entry in domains.items()}
        return (
            Phase(weights={n: float(size) for n, size in sizes.items() if domains[n]["format"] == "text" and size}),
        )


def read_chapter(folder: Path, chapter: str) -> dict[str, Any] | None:
    """A chapter's JSON, None when it was not run."""
    path = folder / f"{chapter}.json"
    return read_json(path, "chapter of the tunnel") if path.is_file() else None
