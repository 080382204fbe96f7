"""BF16: the upper half of a little-endian float32, rounded to nearest even; NaN stays NaN.

one weight = 2 bytes: sign 1 bit, exponent 8, fraction 7
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 1, 2


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols) -> uint8 (rows, 2 * cols)."""
    bits = np.ascontiguousarray(x, dtype="<f4").view("<u4")
    # A NaN whose fraction lies in the lower half alone would round to infinity: its quiet bit is set instead.
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    rounded = bits + (0x7FFF + ((bits >> 16) & 1))
    return np.where(nan, bits | 0x400000, rounded).astype("<u4").view("<u2")[:, 1::2].copy().view(np.uint8)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, 2 * cols) -> float32 (rows, cols)."""
    halves = np.ascontiguousarray(raw).view("<u2").reshape(-1, cols)
    return (halves.astype("<u4") << 16).view("<f4").astype(np.float32, copy=False)
