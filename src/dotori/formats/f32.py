"""F32: little-endian IEEE floats.

one weight = 4 bytes
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 1, 4


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols) -> uint8 (rows, 4 * cols)."""
    return np.ascontiguousarray(x, dtype="<f4").view(np.uint8)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, 4 * cols) -> float32 (rows, cols)."""
    return np.ascontiguousarray(raw).view("<f4").reshape(-1, cols).astype(np.float32)
