"""The training stage: a dataset folder, and a shape or a model to begin from, to a model folder.

Work happens in OUT.partial/ (see resume.py); OUT appears whole at the end, with metrics.jsonl and, when it is kept, the
stable checkpoint from which other decays branch.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dotori.checkpoint.folder import read_model, write_model
from dotori.checkpoint.lineage import FILE, Lineage, Proof, at_most, folder_hash, read_lineage
from dotori.data.build import data_lineage
from dotori.data.loader import read_manifest
from dotori.errors import UserError
from dotori.files import sha256_file
from dotori.model.count import flops_per_token, parameters
from dotori.model.generate import generate
from dotori.model.init import init_weights
from dotori.model.sampling import Sampling
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.train.allocator import keep_freed_memory
from dotori.train.feed import open_feed, sample_phases
from dotori.train.identity import changes, identity, settings_json
from dotori.train.ledger import read_ledger
from dotori.train.lock import locked
from dotori.train.loop import Run, train
from dotori.train.objective import next_token
from dotori.train.optim import make_optimizer
from dotori.train.proofs import packed_difference, repeated_step
from dotori.train.resume import (
    Checkpoint,
    Progress,
    latest,
    load_optimizer,
    load_weights,
    partial_folder,
    progress_of,
    read,
    restore,
    restore_ledger,
    stable_folder,
)
from dotori.train.settings import TrainSettings
from dotori.train.speed import Speed, measured_peak
from dotori.train.validate import bits_per_byte

_MICRO_TOKENS = {"cpu": 8192, "cuda": 65536}
# On a CPU, bf16 products must be this much faster than float32 ones to be worth their rounding.
_WORTH_BF16 = 1.5


@dataclass(frozen=True)
class Beginning:
    """What a run begins from: model, the hash of what it came from, and what was seen before when a run is branched."""

    model: Transformer
    parents: dict[str, str]
    data: dict[str, str]
    tokens_seen: int
    branch: Checkpoint | None
    phases: list[dict[str, Any]]


def train_stage(
    s: TrainSettings, init: Path | None, data: Path, out: Path, log: RunLog, stop: Callable[[], str | None]
) -> None:
    """Trains to the model folder `out`, continuing what is in OUT.partial/.

    Raises Interrupted when `stop()` gives a reason (saved), UserError, ProofError, DiskError.
    """
    train_to(s, init, data, out, log, stop, "train", ())


def train_to(
    s: TrainSettings,
    init: Path | None,
    data: Path,
    out: Path,
    log: RunLog,
    stop: Callable[[], str | None],
    stage: str,
    proofs: tuple[Proof, ...],
    parents: Mapping[str, str] | None = None,
) -> None:
    """train_stage under the name `stage`, with `proofs` and `parents` (hashes by name) of the caller's added."""
    keep_freed_memory()
    tokenizer = load_tokenizer(data / "tokenizer")
    folder = partial_folder(out)
    with locked(folder):
        beginning = _begin(s, init, data, tokenizer)
        beginning = replace(beginning, parents=beginning.parents | dict(parents or {}))
        run = _open(s, beginning, data, folder, tokenizer, log)
        shape = f"{parameters(beginning.model.config) / 1e6:.2f} M parameters"
        log.say(f"{stage}: {shape}, {run.identity['precision']} products on {run.identity['device']}")
        train(run, log, stop)
        _finish(s, run, beginning, tokenizer, out, stage, proofs, data)
        shutil.rmtree(folder)


def _begin(s: TrainSettings, init: Path | None, data: Path, tokenizer: Tokenizer) -> Beginning:
    if (init is None) == (s.model is None):
        given = "both init and model" if init else "neither init nor model"
        raise UserError(f"train: {given}; a run begins from a model folder or from a shape; give one of them")
    own = data_lineage(data)
    if init is None:
        assert s.model is not None
        ids = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
        model = Transformer(s.model.config(read_manifest(data)["vocab_size"], s.context, ids, s.base_width))
        init_weights(model, torch.Generator().manual_seed(s.seed))
        return Beginning(model, {}, own, 0, None, [])
    model, config = read_model(init)
    if load_tokenizer(init).hash != tokenizer.hash:
        raise UserError(
            f"{init}: its tokenizer is not the one {data} was made with; build the data with that of the model"
        )
    if s.context > config.max_position_embeddings:
        raise UserError(
            f"context: {s.context}; the model in {init} holds {config.max_position_embeddings}; lower it or begin anew"
        )
    parent = read_lineage(init) if (init / FILE).is_file() else None
    parents = {"init": folder_hash(init)} if parent else {"init": sha256_file(init / "config.json")}
    branch: Checkpoint | None = None
    phases: list[dict[str, Any]] = []
    seen = parent.tokens_seen if parent else 0
    if s.init_optimizer:
        branch = read(init / "stable")
        load_weights(branch.folder, model)
        seen += progress_of(branch).tokens - (parent.metrics["tokens"] if parent else 0)
        phases = parent.metrics["sample_phases"] if parent else []
    return Beginning(model, parents, (parent.data if parent else {}) | own, seen, branch, phases)


def _open(s: TrainSettings, beginning: Beginning, data: Path, folder: Path, tokenizer: Tokenizer, log: RunLog) -> Run:
    device = device_of(s)
    model = beginning.model.to(device)
    checkpoint = latest(folder, log.say)
    dtype, peak = _precision(s, device, checkpoint)
    parts = {"data": sha256_file(data / "manifest.json"), "model": asdict(model.config), **beginning.parents}
    parts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parts.items()}
    now = identity(s, parts, device, dtype)
    torch.manual_seed(s.seed)
    matrix_dtype = dtype if s.optimizer == "muon" else torch.float32
    optimizer = make_optimizer(model, model.config.logits_scaling, s, matrix_dtype)
    progress = Progress()
    if checkpoint is not None:
        accepted = changes(checkpoint.state["identity"], now, s.accept_changes, folder)
        progress = restore(checkpoint, model, optimizer)
        progress.accepted += accepted
        log.say(f"continuing at step {progress.step}")
    elif beginning.branch is not None:
        load_optimizer(beginning.branch.folder, model, optimizer)
        progress.samples = progress_of(beginning.branch).samples
    restore_ledger(checkpoint, folder)
    first = progress_of(beginning.branch).samples if beginning.branch else 0
    if s.compile == "on" or (s.compile == "auto" and device.type == "cuda"):
        for layer in model.model.layers:
            layer.compile()
    autocast = _autocast(device, dtype)
    return Run(
        model=model,
        optimizer=optimizer,
        objective=next_token,
        open_data=lambda plan: open_feed(data, s, device, plan, beginning.phases, first),
        watch=functools.partial(_watch, s, model, data, tokenizer, autocast),
        settings=s,
        micro_rows=_micro_rows(s, device),
        autocast=autocast,
        speed=Speed(device, flops_per_token(model.config, s.context), peak),
        folder=folder,
        identity=now,
        progress=progress,
    )


def device_of(s: TrainSettings) -> torch.device:
    """Where a run trains; raises UserError for a GPU that is not there."""
    if s.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda; PyTorch sees no GPU here; use auto or cpu, or install PyTorch's CUDA build")
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted if s.device == "auto" else s.device)


def _precision(s: TrainSettings, device: torch.device, checkpoint: Checkpoint | None) -> tuple[torch.dtype, float]:
    """What matrix products run in, and their measured FLOP/s; a run that continues keeps what it began with."""
    dtypes = {"float32": torch.float32, "bf16": torch.bfloat16, "bfloat16": torch.bfloat16}
    chosen = checkpoint.state["identity"]["precision"] if checkpoint and s.precision == "auto" else s.precision
    if chosen != "auto":
        return dtypes[chosen], measured_peak(device, dtypes[chosen])
    peaks = {dtype: measured_peak(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    is_worth = device.type == "cuda" or peaks[torch.bfloat16] > _WORTH_BF16 * peaks[torch.float32]
    dtype = torch.bfloat16 if is_worth else torch.float32
    return dtype, peaks[dtype]


def _autocast(device: torch.device, dtype: torch.dtype) -> Callable[[], AbstractContextManager]:
    if dtype == torch.float32:
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, dtype)


def _micro_rows(s: TrainSettings, device: torch.device) -> int:
    tokens = _MICRO_TOKENS[device.type] if s.micro_batch_tokens == "auto" else s.micro_batch_tokens
    return min(s.rows, max(1, tokens // s.context))


def _watch(
    s: TrainSettings,
    model: Transformer,
    data: Path,
    tokenizer: Tokenizer,
    autocast: Callable[[], AbstractContextManager],
) -> tuple[dict[str, float], list[dict[str, str]]]:
    """Bits per byte by language, and what the model makes of each sample prompt."""
    with autocast():
        figures = bits_per_byte(model, data, s.context, s.validation_bytes)
        samples = []
        for prompt in s.samples:
            bos = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.eos_id
            ids = ([] if bos is None else [bos]) + tokenizer.encode(prompt)
            room = min(s.sample_tokens, model.config.max_position_embeddings - len(ids))
            stops = [index for index in (bos, tokenizer.eos_id) if index is not None]
            found = list(generate(model, ids, max(0, room), Sampling(temperature=0.0), stops))
            samples.append({"prompt": prompt, "text": tokenizer.decode(found)})
    return figures, samples


def _finish(
    s: TrainSettings,
    run: Run,
    beginning: Beginning,
    tokenizer: Tokenizer,
    out: Path,
    stage: str,
    proofs: tuple[Proof, ...],
    data: Path,
) -> None:
    """Proves the run on itself and writes the model folder."""
    is_exact = run.identity["device"] == "cpu"
    loss, weight = repeated_step(run)
    how = "the last step repeated from the checkpoint before it"
    proofs += (
        at_most("resume, loss", loss, 0.0 if is_exact else 1e-2, f"{how}: difference of the loss"),
        at_most("resume, weights", weight, 0.0 if is_exact else 1e-2, f"{how}: largest difference of a weight"),
    )
    batch = run.open_data(run.progress.plan)(max(0, run.progress.samples - run.micro_rows), run.micro_rows)
    how = "largest logit difference between documents packed in a row and each alone, float32"
    proofs += (at_most("packed = alone", packed_difference(run.model, batch), 1e-3, how),)
    steps = [line for line in read_ledger(run.folder / "metrics.jsonl") if line["kind"] == "step"]
    losses = [line["loss"] for line in steps[-50:] if line["loss"] is not None]
    rates = sorted(line["tokens_per_second"] for line in steps)
    first = progress_of(beginning.branch).samples if beginning.branch else 0
    metrics: dict[str, Any] = {
        "parameters": parameters(run.model.config),
        "steps": run.progress.step,
        "tokens": run.progress.tokens,
        "seconds": round(run.progress.elapsed, 1),
        "tokens_per_second": rates[len(rates) // 2],
        "loss": sum(losses) / max(1, len(losses)),
        "bits_per_byte": run.progress.validation,
        "skipped_steps": len(run.progress.skipped),
        "accepted_changes": run.progress.accepted,
        "precision": run.identity["precision"],
        "sample_phases": [p._asdict() for p in sample_phases(s, run.progress.plan, beginning.phases, first)],
    }
    lineage = Lineage(
        stage=stage,
        settings=settings_json(s),
        seed=s.seed,
        parents=beginning.parents,
        data=beginning.data,
        tokens_seen=beginning.tokens_seen + run.progress.tokens,
        metrics=metrics,
        proofs=proofs,
    )
    kept = [stable_folder(run.folder)] if stable_folder(run.folder).exists() else []
    write_model(out, run.model.cpu(), tokenizer, lineage, beside=[run.folder / "metrics.jsonl", *kept])
