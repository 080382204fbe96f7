"""Writes safetensors as a stream, so that a full disk is an OSError and the hash costs no second reading."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

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
    header: dict[str, dict] = {}
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
