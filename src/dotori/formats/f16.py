"""F16: little-endian half floats, rounded to nearest even; magnitudes above 65504 become infinite.

one weight = 2 bytes
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 1, 2


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols) -> uint8 (rows, 2 * cols)."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x.astype("<f2")).view(np.uint8)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, 2 * cols) -> float32 (rows, cols)."""
    return np.ascontiguousarray(raw).view("<f2").reshape(-1, cols).astype(np.float32)
