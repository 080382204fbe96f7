"""Q4_0: 32 weights in 18 bytes, 4.5 bits a weight.

    | d: float16, 2 bytes | b0 b1 ... b15: 16 bytes |      weight i      = d * ((bi & 15) - 8)
                                                           weight i + 16 = d * ((bi >> 4) - 8)

d = the weight of largest magnitude, with its sign, / -8: that weight is met exactly by the code 0.
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 32, 18


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols), cols a multiple of 32 -> uint8 (rows, cols / 32 * 18); rounds to nearest."""
    rows, cols = x.shape
    blocks = x.astype(np.float32).reshape(-1, BLOCK)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    d = largest / np.float32(-8)
    with np.errstate(divide="ignore"):
        inverse = np.where(d == 0, np.float32(0), 1 / d)
    q = np.trunc(blocks * inverse + np.float32(8.5)).clip(0, 15).astype(np.uint8)
    packed = np.concatenate([d.astype("<f2").view(np.uint8), q[:, :16] | q[:, 16:] << 4], axis=1)
    return packed.reshape(rows, cols // BLOCK * BLOCK_BYTES)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, cols / 32 * 18) -> float32 (rows, cols)."""
    blocks = np.ascontiguousarray(raw).reshape(-1, BLOCK_BYTES)
    d = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    q = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.float32) - 8
    return (d * q).reshape(-1, cols)
