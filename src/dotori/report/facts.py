"""What a run folder says about itself, read from its JSON files only: no model is opened, nothing is computed anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotori.errors import UserError
from dotori.files import read_json

# Where a stage's folder says how it was made and what came out; a key of a later file wins.
_DOCUMENTS = ("manifest.json", "evaluation.json", "lineage.json")


@dataclass(frozen=True)
class Curve:
    """What one training stage logged. Points are (tokens seen so far in the whole run, value)."""

    stage: str
    start: float
    loss: list[tuple[float, float]]
    rate: list[tuple[float, float]]
    bits_per_byte: dict[str, list[tuple[float, float]]]
    samples: list[dict[str, Any]]
    skipped: int
    tokens_per_second: float | None


@dataclass(frozen=True)
class StageFacts:
    """One stage of a run: its record in stages.json, its folder's size and what its JSON files say."""

    name: str
    kind: str
    seconds: float
    peak_memory_bytes: int | None
    parents: list[str]
    output: str
    bytes: int
    document: dict[str, Any]
    models: dict[str, int]

    @property
    def proofs(self) -> list[dict[str, Any]]:
        """The proofs that its document holds."""
        found = self.document.get("proofs", [])
        return [proof for proof in found if isinstance(proof, dict)]


@dataclass(frozen=True)
class RunFacts:
    """A run folder as the report shows it."""

    name: str
    recipe: str
    stages: list[StageFacts]
    curves: list[Curve] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[StageFacts]:
        """The stages of a kind, in the order of the run."""
        return [stage for stage in self.stages if stage.kind == kind]


def read_run(folder: Path) -> RunFacts:
    """Reads a run folder; raises UserError when it is none. Stages that are not finished are left out."""
    if not (folder / "stages.json").is_file():
        raise UserError(f"{folder}: holds no stages.json; a folder made by `dotori run` is needed; check the path")
    records = read_json(folder / "stages.json", "run folder")
    stages = [_stage(folder, name, record) for name, record in records.items() if record.get("output")]
    recipe = (folder / "recipe.toml").read_text(encoding="utf-8") if (folder / "recipe.toml").is_file() else ""
    curves = []
    for stage in stages:
        lines = list(_lines(folder / stage.name / "metrics.jsonl"))
        if lines:
            own = stage.document.get("metrics", {}).get("tokens", 0)
            curves.append(_curve(stage.name, max(0, stage.document.get("tokens_seen", own) - own), lines))
    return RunFacts(_name(recipe) or folder.name, recipe, stages, curves)


def _name(recipe: str) -> str:
    first = recipe.partition("\n")[0]
    return str(json.loads(first.removeprefix("name = "))) if first.startswith('name = "') else ""


def _stage(folder: Path, name: str, record: dict[str, Any]) -> StageFacts:
    out = folder / name
    document: dict[str, Any] = {}
    for one in _DOCUMENTS:
        if (out / one).is_file():
            document |= read_json(out / one, "stage folder")
    files = [path for path in out.rglob("*") if path.is_file()]
    models = {p.name: p.stat().st_size for p in files if p.parent == out and p.suffix in (".gguf", ".safetensors")}
    return StageFacts(
        name=name,
        kind=record["kind"],
        seconds=record["seconds"],
        peak_memory_bytes=record.get("peak_memory_bytes"),
        parents=record.get("parents", []),
        output=record["output"],
        bytes=sum(path.stat().st_size for path in files),
        document=document,
        models=models,
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        with open(path, encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.strip())


def _curve(stage: str, start: float, lines: list[dict[str, Any]]) -> Curve:
    steps = [line for line in lines if line.get("kind") == "step"]
    tokens_at = {line["step"]: start + line["tokens"] for line in steps}
    end = max(tokens_at.values(), default=start)
    validation: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        if line.get("kind") == "validation":
            place = tokens_at.get(line["step"] - 1, end if line["step"] else start)
            for language, value in line["bits_per_byte"].items():
                validation.setdefault(language, []).append((place, value))
    speeds = sorted(line["tokens_per_second"] for line in steps if line.get("tokens_per_second"))
    return Curve(
        stage=stage,
        start=start,
        loss=[(tokens_at[line["step"]], line["loss"]) for line in steps if line.get("loss") is not None],
        rate=[(tokens_at[line["step"]], line["lr"]) for line in steps if line.get("lr") is not None],
        bits_per_byte=validation,
        samples=[line for line in lines if line.get("kind") == "sample"],
        skipped=sum("skipped" in line for line in steps),
        tokens_per_second=speeds[len(speeds) // 2] if speeds else None,
    )
