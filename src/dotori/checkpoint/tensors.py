"""Tensors in safetensors files: written as a stream, read after names, shapes and sizes have been checked.

Streaming makes a full disk an OSError and the hash cost no second reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from dotori.errors import UserError
from dotori.files import read_json

_NAMES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
}


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    """Writes `tensors` (any device, one copied at a time) as a safetensors file; returns its SHA-256 in hex."""
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))  # keeps each one aligned
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}  # without it transformers refuses the file
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        file.write(part := len(text).to_bytes(8, "little") + text)
        digest.update(part)
        for tensor in tensors.values():
            file.write(part := _raw(tensor))
            digest.update(part)
    return digest.hexdigest()


def _raw(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


_READABLE = ("F32", "F16", "BF16", "F64")


def read_state(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], optional: tuple[str, ...] = ()
) -> dict[str, torch.Tensor]:
    """The tensors named in `shapes` from a model folder's safetensors file or shards, each as float32.

    Names, shapes and types are checked against the headers before anything is read. Tensors that are not in `shapes`
    are an error unless they end in one of `optional`. Raises UserError naming the tensor.
    """
    files = tensor_files(folder)
    found: dict[str, Path] = {}
    state: dict[str, torch.Tensor] = {}
    for path in files:
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118
                _check_tensor(path, name, file.get_slice(name), shapes, optional)
                found[name] = path
    for name in shapes:
        if name not in found:
            raise UserError(f"{folder}: tensor {name} is missing; config.json asks for it; restore the weights")
    for path in files:
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118
                if name in shapes:
                    state[name] = file.get_tensor(name).to(torch.float32)
    return state


def tensor_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder; raises UserError when there are none, naming pickles it refuses."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        names = sorted(set(read_json(index, "model folder").get("weight_map", {}).values()))
        for name in names:
            if not isinstance(name, str) or Path(name).name != name:
                raise UserError(f"{index}: shard {name!r}; a file name beside it is needed; restore the index")
            if not (folder / name).is_file():
                raise UserError(f"{folder / name}: missing; {index.name} names it; restore the shard")
        return [folder / name for name in names]
    pickles = [path.name for ending in ("*.bin", "*.pt", "*.pth") for path in folder.glob(ending)]
    if pickles:
        raise UserError(
            f"{folder}: only {pickles[0]}; pickled weights can run code and are never read; "
            "have them saved as safetensors (save_pretrained does so)"
        )
    raise UserError(f"{folder}: no model.safetensors; a model folder holds its weights there; check the path")


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable as safetensors ({error}); restore the file") from None


def _check_tensor(path: Path, name: str, piece: object, shapes: Mapping, optional: tuple[str, ...]) -> None:
    if name not in shapes:
        if name.endswith(optional) if optional else False:
            return
        raise UserError(f"{path}: tensor {name} has no place in this architecture; check config.json's model_type")
    shape, dtype = tuple(piece.get_shape()), piece.get_dtype()  # type: ignore[attr-defined]
    if shape != tuple(shapes[name]):
        raise UserError(f"{path}: {name} has shape {shape}; config.json asks for {tuple(shapes[name])}; correct one")
    if dtype not in _READABLE:
        raise UserError(f"{path}: {name} is stored as {dtype}; one of {', '.join(_READABLE)} is needed; convert it")
