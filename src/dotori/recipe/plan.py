"""What a recipe will cost and whether it can be: sizes from the settings, time from a one-second probe of this machine.

Everything that can be refused before a tensor is made is refused here: `run` calls `check` before its first stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dotori.checkpoint.folder import read_config
from dotori.config import nearest
from dotori.data.sources import find_files
from dotori.data.unit import STORY_BYTES
from dotori.device import detect
from dotori.errors import UserError
from dotori.files import read_json
from dotori.model.config import ModelConfig
from dotori.model.count import flops_per_token, forward_flops_per_token, parameters, training_memory_bytes
from dotori.recipe.schema import Recipe, Table
from dotori.train.settings import TrainSettings
from dotori.train.speed import measured_peak

# Shares of the probe's FLOP/s that a step reaches, evaluation and saving included; benchmarks/ measures them.
UTILISATION = {"cpu": 0.30, "cuda": 0.25}
# Batched greedy decoding is bound by memory and small products.
_DECODING_SHARE = 0.03
# Text per second through cleaning, deduplication and tokenizing, and through tokenizer training, a process.
_DATA_BYTES_PER_SECOND, _TOKENIZER_BYTES_PER_SECOND = 5e6, 4e6
_COMPRESSION = 3.2
# Evaluated text: tokens a byte, each read twice because windows overlap by half.
_READ_TOKENS_PER_BYTE = 2 / 3.5
# An examination item with its answer, on average.
_ITEM_TOKENS, _TASKS = 150, 4
# Python with PyTorch loaded.
_PROCESS_BYTES = 330_000_000
_MICRO_TOKENS = {"cpu": 8192, "cuda": 65536}


@dataclass(frozen=True)
class PlanRow:
    """A stage and what it will take; None where nothing can be said. `state` is new or made (its folder is there)."""

    name: str
    kind: str
    state: str
    parameters: int | None = None
    tokens: int | None = None
    flops: float | None = None
    seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Plan:
    """All rows, the probe (FLOP/s of a large matrix product) and the share of it that training is assumed to reach."""

    name: str
    device: str
    probe_flops: float
    utilisation: float
    rows: list[PlanRow]

    def json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return asdict(self) | {"seconds": sum(row.seconds or 0.0 for row in self.rows)}


def plan_recipe(recipe: Recipe, folder: Path, only: str | None = None, probe_seconds: float = 1.0) -> Plan:
    """Checks the recipe and estimates each stage, or the stage `only`; raises UserError for what cannot be."""
    check(recipe, folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = max(measured_peak(device, dtype, probe_seconds / 2) for dtype in (torch.float32, torch.bfloat16))
    share = UTILISATION[device.type]
    tables = [table for table in recipe.tables if only in (None, table.name)]
    rows = [_row(table, recipe, folder, device, peak, share) for table in tables]
    return Plan(recipe.name, device.type, peak, share, rows)


def check(recipe: Recipe, folder: Path) -> None:
    """Raises UserError for settings that contradict each other across tables or cannot fit into this machine."""
    for table in recipe.tables:
        if isinstance(table.settings, TrainSettings):
            where = f"recipe {recipe.name} [{table.name}]"
            _check_beginning(table, where)
            _check_mixture(table, recipe, where)
            config = _config(table, recipe, folder)
            if config is not None:
                _check_context(table.settings, config, where)
                _check_memory(table.settings, config, where)


def _check_beginning(table: Table, where: str) -> None:
    s, begins = table.settings, bool(table.inputs.get("init"))
    if begins == (s.model is not None):
        given = "both init and model" if begins else "neither init nor model"
        raise UserError(f"{where}: {given}; a run begins from a model or from a shape; give one of them")
    if s.init_optimizer and not begins:
        raise UserError(
            f"{where}: init_optimizer without init; it continues a stable checkpoint; name the stage as init"
        )


def _check_mixture(table: Table, recipe: Recipe, where: str) -> None:
    source = next(iter(table.inputs.get("data", ())), None)
    if not isinstance(source, str):
        return
    domains = recipe.table(source).settings.domains
    for phase in table.settings.phases:
        for name in phase.weights:
            if name not in domains:
                raise UserError(f"{where}: phases name domain {name!r}; {nearest(name, list(domains))}")
    if table.kind == "sft" and not any(domain.format == "chat" for domain in domains.values()):
        raise UserError(f'{where}: [{source}] has no chat domain; tuning needs one; give a domain format = "chat"')


def _check_context(s: TrainSettings, config: ModelConfig, where: str) -> None:
    if s.context > config.max_position_embeddings:
        raise UserError(
            f"{where}: context {s.context}; the model holds {config.max_position_embeddings}; lower it, or raise "
            "max_position_embeddings where the model is made"
        )


def _check_memory(s: TrainSettings, config: ModelConfig, where: str) -> None:
    needed, there = _memory(s, config), _machine_bytes(s)
    if needed > there:
        raise UserError(
            f"{where}: {needed / 1e9:.1f} GB for {parameters(config) / 1e6:.0f} M parameters; this machine has "
            f"{there / 1e9:.1f} GB; lower micro_batch_tokens, the width or the layers"
        )


def _machine_bytes(s: TrainSettings) -> int:
    if _device_type(s) == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return detect().memory_bytes


def _device_type(s: TrainSettings) -> str:
    return "cuda" if s.device != "cpu" and torch.cuda.is_available() else "cpu"


def _memory(s: TrainSettings, config: ModelConfig) -> int:
    device = _device_type(s)
    micro = _MICRO_TOKENS[device] if s.micro_batch_tokens == "auto" else s.micro_batch_tokens
    at_once = max(s.context, min(micro, s.batch_tokens))
    return training_memory_bytes(config, at_once, s.context, device) + _PROCESS_BYTES


def _config(table: Table, recipe: Recipe, folder: Path) -> ModelConfig | None:
    """The shape that a table trains, exports or examines; None when only a folder that is not made yet would tell."""
    for _ in recipe.tables:
        if isinstance(table.settings, TrainSettings) and table.settings.model is not None:
            vocabulary = _vocabulary(table, recipe, folder)
            try:
                return table.settings.model.config(vocabulary, table.settings.context, (0, 2, 0))
            except UserError as error:
                raise UserError(f"recipe {recipe.name} [{table.name}] model: {error}") from None
        places = [place for name in ("init", "model", "models") for place in table.inputs.get(name, ())]
        if not places:
            return None
        if isinstance(places[0], Path):
            return read_config(places[0]) if (places[0] / "config.json").is_file() else None
        table = recipe.table(places[0])
    return None


def _vocabulary(table: Table, recipe: Recipe, folder: Path) -> int:
    """The vocabulary that a model will get: counted where the dataset is made, else what the tokenizer is asked for."""
    source = table.inputs["data"][0]
    place = folder / source if isinstance(source, str) else source
    if (place / "manifest.json").is_file():
        return int(read_json(place / "manifest.json", "dataset folder")["vocab_size"])
    words = recipe.table(str(source)).inputs["tokenizer"][0] if isinstance(source, str) else None
    if not isinstance(words, str):
        raise UserError(
            f"recipe {recipe.name} [{table.name}]: no tokenizer to take the vocabulary from; build the data first"
        )
    return int(recipe.table(words).settings.vocab_size)


def _row(table: Table, recipe: Recipe, folder: Path, device: torch.device, peak: float, share: float) -> PlanRow:
    state = "made" if (folder / table.name).is_dir() else "new"
    row = PlanRow(table.name, table.kind, state)
    config = _config(table, recipe, folder)
    count = None if config is None else parameters(config)
    if table.kind in ("train", "sft") and config is not None:
        return _training_row(row, table.settings, config, peak * share)
    if table.kind in ("tokenizer", "data"):
        size = _source_bytes(table)
        speed = _DATA_BYTES_PER_SECOND if table.kind == "data" else _TOKENIZER_BYTES_PER_SECOND
        if table.kind == "tokenizer":
            size = min(size, table.settings.max_bytes)
        return _with(row, seconds=size / speed, memory_bytes=_PROCESS_BYTES + int(min(size, 1e9) * 0.5))
    if table.kind == "evaluate" and config is not None:
        models, s = len(table.inputs["models"]), table.settings
        answered = models * s.count * _TASKS * s.storyworld * _ITEM_TOKENS
        read = int(models * _file_bytes(s.texts) * _READ_TOKENS_PER_BYTE)
        tokens, per_token = answered + read, forward_flops_per_token(config, config.max_position_embeddings)
        flops = tokens * per_token
        seconds = answered * per_token / (peak * _DECODING_SHARE) + read * per_token / (peak * share)
        return _with(row, parameters=count, tokens=tokens, flops=flops, seconds=seconds, memory_bytes=_PROCESS_BYTES)
    memory = None if count is None else _PROCESS_BYTES + 12 * count
    return _with(row, parameters=count, seconds=2.0, memory_bytes=memory)


def _training_row(row: PlanRow, s: TrainSettings, config: ModelConfig, flops_per_second: float) -> PlanRow:
    per_token = flops_per_token(config, s.context)
    if s.total_steps is not None:
        tokens = s.total_steps * s.batch_tokens
        seconds = tokens * per_token / flops_per_second
    else:
        seconds = 60.0 * (s.minutes or 0.0)
        tokens = int(seconds * flops_per_second / per_token)
    return _with(
        row,
        parameters=parameters(config),
        tokens=tokens,
        flops=tokens * per_token,
        seconds=seconds,
        memory_bytes=_memory(s, config),
    )


def _with(row: PlanRow, **changes: Any) -> PlanRow:
    return PlanRow(**(asdict(row) | changes))


def _source_bytes(table: Table) -> float:
    """Bytes of text that a data or tokenizer table reads, compressed files counted as they unpack."""
    total = 0.0
    for domain in table.settings.domains.values():
        size = float(domain.storyworld.count * STORY_BYTES) if domain.storyworld else 0.0
        size += _file_bytes(domain.paths)
        total += min(size, domain.limit_bytes) if domain.limit_bytes else size
    return total


def _file_bytes(paths: tuple[str, ...]) -> float:
    packed = (".gz", ".zst", ".parquet")
    files = find_files(paths) if paths else []
    return sum(path.stat().st_size * (_COMPRESSION if path.suffix in packed else 1.0) for path in files)


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan as a table for people."""
    yield f"{'stage':16} {'kind':10} {'state':5} {'weights':>9} {'tokens':>9} {'FLOPs':>9} {'time':>9} {'memory':>9}"
    for row in plan.rows:
        yield (
            f"{row.name:16} {row.kind:10} {row.state:5} {_number(row.parameters):>9} {_number(row.tokens):>9} "
            f"{_number(row.flops):>9} {_time(row.seconds):>9} {_size(row.memory_bytes):>9}"
        )
    total = sum(row.seconds or 0.0 for row in plan.rows)
    memory = max((row.memory_bytes or 0 for row in plan.rows), default=0)
    yield f"in all about {_time(total)} and at most about {memory / 1e9:.1f} GB"
    yield (
        f"times assume {plan.utilisation:.0%} of the {plan.probe_flops / 1e9:.0f} GFLOP/s that a large matrix product "
        f"reached on this {plan.device} just now; a stage that is already made and unchanged takes no time"
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    for limit, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f}{suffix}"
    return f"{value:.0f}"


def _size(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e9:.2f} GB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
