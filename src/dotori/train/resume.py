"""Checkpoints of a running training: all that the next step depends on, so that a killed run ends in the same weights.

    OUT.partial/                 while the run is not finished; OUT itself appears whole at the end
      lock                       see lock.py
      metrics.jsonl              one line per step, validation and sample; cut back to the checkpoint on resume
      step-00000120/             the last two, each written beside and renamed
        weights.safetensors      model parameters, HF names
        optimizer.safetensors    optimizer state, `parameter name|state name`
        metrics.jsonl            the ledger up to this step
        state.json               Progress, random generators, identity of the run, SHA-256 of the files and of itself
      stable/                    the same, made at the first step of the decay and kept

Data order is a pure function of the sample index, so the loader's state is one number.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dotori.checkpoint.tensors import write_tensors
from dotori.errors import UserError
from dotori.files import atomic_folder, disk_errors, read_json, sha256_file, sha256_json, to_json
from dotori.train.schedule import Plan
from dotori.train.spikes import Window

KEPT = 2


@dataclass
class Progress:
    """Where a run stands before `step`. Times in seconds of wall time inside the loop, over all slices."""

    step: int = 0
    samples: int = 0
    tokens: int = 0
    elapsed: float = 0.0
    timed_steps: int = 0
    timed_seconds: float = 0.0
    plan: Plan | None = None
    window: Window = field(default_factory=Window)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    validation: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint folder and its state.json."""

    folder: Path
    state: dict[str, Any]


def partial_folder(out: Path) -> Path:
    """The folder in which the run that will make `out` works."""
    return out.parent / f"{out.name}.partial"


def step_folder(folder: Path, step: int) -> Path:
    """The checkpoint folder of `step` inside a run's working folder."""
    return folder / f"step-{step:08d}"


def stable_folder(folder: Path) -> Path:
    """The checkpoint kept from the end of the stable phase, inside a run's working folder."""
    return folder / "stable"


def save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, identity: dict[str, Any]
) -> None:
    """Writes `folder` (a checkpoint) with the ledger beside it; raises DiskError, older checkpoints untouched."""
    ledger = folder.parent / "metrics.jsonl"
    with atomic_folder(folder) as temporary:
        files = {
            "weights.safetensors": write_tensors(temporary / "weights.safetensors", weights(model)),
            "optimizer.safetensors": write_tensors(
                temporary / "optimizer.safetensors", optimizer_tensors(model, optimizer)
            ),
        }
        shutil.copyfile(ledger, temporary / "metrics.jsonl")
        files["metrics.jsonl"] = sha256_file(temporary / "metrics.jsonl")
        state = {"progress": asdict(progress), "random": _random_state(), "identity": identity, "files": files}
        (temporary / "state.json").write_text(to_json(state | {"sha256": sha256_json(state)}), encoding="utf-8")


def prune(folder: Path) -> None:
    """Removes all but the newest two checkpoints."""
    for old in sorted(folder.glob("step-" + "[0-9]" * 8))[:-KEPT]:
        shutil.rmtree(old)


def latest(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of a working folder, or None when there is none yet.

    A damaged one is renamed to `*.damaged` and the one before is taken; raises UserError when all are damaged.
    """
    found = sorted(folder.glob("step-" + "[0-9]" * 8), reverse=True)
    for path in found:
        try:
            return read(path)
        except UserError as error:
            quarantine = path.with_name(f"{path.name}.damaged")
            shutil.rmtree(quarantine, ignore_errors=True)
            with disk_errors(path):
                os.rename(path, quarantine)
            say(f"{error}\nkept as {quarantine.name}; continuing from the checkpoint before it")
    if found:
        raise UserError(f"{folder}: all {len(found)} checkpoints are damaged; none can be continued; begin anew")
    return None


def read(path: Path) -> Checkpoint:
    """Checks every byte of a checkpoint against its hashes; raises UserError naming the file that differs."""
    state = read_json(path / "state.json", "checkpoint")
    stored = state.pop("sha256", None)
    if stored != sha256_json(state):
        raise UserError(f"{path}: state.json was altered (its hash differs); a checkpoint must be as it was written")
    for name, expected in state["files"].items():
        if not (path / name).is_file():
            raise UserError(f"{path}: {name} is missing; a checkpoint must be as it was written")
        if sha256_file(path / name) != expected:
            raise UserError(f"{path}: {name} was altered (its hash differs); a checkpoint must be as it was written")
    return Checkpoint(path, state)


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Puts a checkpoint back into the model, the optimizer and the random generators, and returns the progress."""
    load_weights(checkpoint.folder, model)
    load_optimizer(checkpoint.folder, model, optimizer)
    torch.set_rng_state(_bytes(checkpoint.state["random"]["cpu"]))
    if torch.cuda.is_available() and checkpoint.state["random"]["cuda"]:
        torch.cuda.set_rng_state(_bytes(checkpoint.state["random"]["cuda"]))
    return progress_of(checkpoint)


def progress_of(checkpoint: Checkpoint) -> Progress:
    """The progress stored in a checkpoint."""
    stored = dict(checkpoint.state["progress"])
    plan = Plan(**stored["plan"]) if stored["plan"] else None
    return Progress(**(stored | {"plan": plan, "window": Window(**stored["window"])}))


def restore_ledger(checkpoint: Checkpoint | None, folder: Path) -> None:
    """Cuts the run's metrics.jsonl back to the checkpoint, or empties it when the run begins."""
    temporary = folder / ".metrics.jsonl.tmp"
    with disk_errors(folder / "metrics.jsonl"):
        if checkpoint is None:
            temporary.write_bytes(b"")
        else:
            shutil.copyfile(checkpoint.folder / "metrics.jsonl", temporary)
        os.replace(temporary, folder / "metrics.jsonl")


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters by name; a tied one is there once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def load_weights(folder: Path, model: nn.Module) -> None:
    """Copies `weights.safetensors` into the parameters; raises UserError when names or shapes differ."""
    stored, own = _tensors(folder / "weights.safetensors"), weights(model)
    for name in stored.keys() ^ own.keys():
        raise UserError(f"{folder}: tensor {name} is on one side only; the checkpoint is of another model; begin anew")
    for name, parameter in own.items():
        if stored[name].shape != parameter.shape:
            raise UserError(
                f"{folder}: {name} has shape {tuple(stored[name].shape)}, the model {tuple(parameter.shape)}; "
                "they must be equal; the checkpoint is of another model; begin anew"
            )
        parameter.copy_(stored[name])


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as `parameter name|state name` -> tensor; numbers become 0-dimensional float64."""
    found = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"{name}|{key}"] = value if isinstance(value, torch.Tensor) else torch.tensor(value).double()
    return found


def load_optimizer(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts `optimizer.safetensors` back; raises UserError when it belongs to other parameters."""
    stored: dict[str, dict[str, torch.Tensor]] = {}
    for label, tensor in _tensors(folder / "optimizer.safetensors").items():
        name, _, key = label.rpartition("|")
        # Cloned so that the memory is aligned as the optimizer's own would be: vector kernels round by alignment.
        stored.setdefault(name, {})[key] = tensor.clone()
    names = {parameter: name for name, parameter in model.named_parameters()}
    order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    for name in stored.keys() - set(order):
        raise UserError(f"{folder}: optimizer state of {name}, which this model has not; begin without it")
    state = optimizer.state_dict()
    state["state"] = {index: stored[name] for index, name in enumerate(order) if name in stored}
    optimizer.load_state_dict(state)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable as safetensors ({error}); restore the file or begin anew") from None


def _random_state() -> dict[str, str | None]:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    return {
        "cpu": torch.get_rng_state().numpy().tobytes().hex(),
        "cuda": None if cuda is None else cuda.numpy().tobytes().hex(),
    }


def _bytes(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
