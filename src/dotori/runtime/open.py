"""Opens whatever a path holds: a model folder, an export folder or a GGUF file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dotori.config import parse_size
from dotori.device import detect
from dotori.errors import UserError
from dotori.runtime.session import Session

if TYPE_CHECKING:
    from dotori.runtime.torch_session import TorchSession

_MOST_THREADS = 1024


def open_model(
    path: str | Path, threads: int | None = None, memory: int | str | None = None, context: int | None = None
) -> Session | TorchSession:
    """A session for the model at `path`: a GGUF file on the native core, a model folder on PyTorch in float32.

    `threads`: CPU threads, None takes all cores; `memory`: most bytes (or a size such as "750MB") that weights, scratch
    and a full context may take; `context`: positions to hold, None takes the model's own. Raises UserError for a path
    without a model, several models, or too little memory.
    """
    if find_gguf(Path(path)) is not None:
        return open_gguf(path, threads, memory, context)
    _check_threads(threads)
    budget = parse_size(memory) if isinstance(memory, str) else memory
    # PyTorch takes a second to import, and a GGUF file needs none of it.
    return import_module("dotori.runtime.torch_session").open_folder(Path(path), threads, budget, context)


def open_gguf(
    path: str | Path, threads: int | None = None, memory: int | str | None = None, context: int | None = None
) -> Session:
    """A native session for a GGUF file or export folder; `open_model` tells the rest. Raises UserError for others."""
    _check_threads(threads)
    file = find_gguf(Path(path))
    if file is None:
        raise UserError(f"{path}: a model folder; the native core runs GGUF files; export it first: dotori export gguf")
    budget = parse_size(memory) if isinstance(memory, str) else memory
    return Session(file, threads or detect().threads, budget or 0, context)


def _check_threads(threads: int | None) -> None:
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise UserError(f"threads: {threads}; 1 to {_MOST_THREADS}; leave it out to use all cores")


def find_gguf(path: Path) -> Path | None:
    """The GGUF file that `path` is or holds, None for a model folder; raises UserError for anything else."""
    if path.is_file():
        if path.suffix != ".gguf":
            raise UserError(f"{path}: a {path.suffix or 'bare'} file; a .gguf file or a model folder is needed")
        return path
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; a model folder, an export folder or a .gguf file is needed")
    if (path / "config.json").is_file():
        return None
    files = sorted(path.glob("*.gguf"))
    if len(files) > 1:
        raise UserError(f"{path}: holds {', '.join(file.name for file in files)}; name the one to open")
    if not files:
        inside = sorted(child.parent.name for child in [*path.glob("*/config.json"), *path.glob("*/*.gguf")])
        hint = f"open one inside it: {', '.join(dict.fromkeys(inside))}" if inside else "check the path"
        raise UserError(f"{path}: neither config.json nor a .gguf file; a model must hold one; {hint}")
    return files[0]
