"""Opens whatever a path holds: a model folder, an export folder or a GGUF file."""

from __future__ import annotations

from pathlib import Path

import torch

from dotori.checkpoint.folder import model_of, read_model
from dotori.checkpoint.gguf import read_gguf
from dotori.config import parse_size
from dotori.errors import UserError
from dotori.files import read_json
from dotori.model.transformer import Transformer
from dotori.runtime.torch_session import TorchSession
from dotori.tokenizer.load import load_tokenizer


def open_model(path: str | Path, threads: int | None = None, memory: int | str | None = None) -> TorchSession:
    """A session for the model at `path`; on a GPU where PyTorch has one, else on the CPU, in float32.

    `threads`: CPU threads, None leaves PyTorch's choice; `memory`: most bytes (or a size such as "750MB") that weights
    and a full context may take. Raises UserError for a path without a model, several models, or too little memory.
    """
    if threads is not None:
        if threads < 1:
            raise UserError(f"threads: {threads}; at least 1; leave it out to use all cores")
        torch.set_num_threads(threads)
    place = Path(path)
    file = find_gguf(place)
    session = _open_folder(place) if file is None else _open_gguf(file)
    if memory is not None:
        _check_memory(session, parse_size(memory) if isinstance(memory, str) else memory)
    return session


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


def _open_folder(path: Path) -> TorchSession:
    model, _ = read_model(path)
    return TorchSession(_placed(model), load_tokenizer(path), _lineage(path))


def _open_gguf(path: Path) -> TorchSession:
    found = read_gguf(path)
    model = _placed(model_of(found.config, found.state))
    return TorchSession(model, found.tokenizer, _lineage(path.parent), found.metadata)


def _placed(model: Transformer) -> Transformer:
    return model.float().to("cuda" if torch.cuda.is_available() else "cpu")


def _lineage(folder: Path) -> dict | None:
    path = folder / "lineage.json"
    return read_json(path, "lineage") if path.is_file() else None


def _check_memory(session: TorchSession, budget_bytes: int) -> None:
    config = session.config
    weights = sum(tensor.numel() * tensor.element_size() for tensor in session.model.parameters())
    cache = 2 * 4 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * session.context
    if weights + cache > budget_bytes:
        raise UserError(
            f"memory: {budget_bytes / 1e6:.1f} MB allowed, weights take {weights / 1e6:.1f} MB and a full context "
            f"{cache / 1e6:.1f} MB; allow more or use a smaller model"
        )
