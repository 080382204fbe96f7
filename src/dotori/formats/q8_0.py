"""Q8_0: 32 weights in 34 bytes, 8.5 bits a weight.

| d: float16, 2 bytes | q0 q1 ... q31: int8, 32 bytes |      weight i = d * qi,   d = largest magnitude / 127
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 32, 34


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols), cols a multiple of 32 -> uint8 (rows, cols / 32 * 34); rounds half away from zero."""
    rows, cols = x.shape
    blocks = x.astype(np.float32).reshape(-1, BLOCK)
    d = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(d == 0, np.float32(0), 1 / d)
    scaled = blocks * inverse
    magnitude = np.abs(scaled)
    whole = np.floor(magnitude)
    q = np.sign(scaled) * (whole + np.floor(2 * (magnitude - whole)))
    packed = np.concatenate([d.astype("<f2").view(np.uint8), q.astype(np.int8).view(np.uint8)], axis=1)
    return packed.reshape(rows, cols // BLOCK * BLOCK_BYTES)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, cols / 32 * 34) -> float32 (rows, cols)."""
    blocks = np.ascontiguousarray(raw).reshape(-1, BLOCK_BYTES)
    d = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    q = np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32)
    return (d * q).reshape(-1, cols)
