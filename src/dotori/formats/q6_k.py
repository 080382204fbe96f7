"""Q6_K: 256 weights in 210 bytes, 6.5625 bits a weight.

    | l0 ... l127: 128 bytes | h0 ... h63: 64 bytes | s0 ... s15: int8, 16 bytes | d: float16 |

Sixteen parts of 16 weights with an int8 scale each:      weight i = d * s[i / 16] * (q - 32)

A half of 128 weights takes 64 bytes of l, the low four bits, and 32 bytes of h, the upper two. In a half, i in 0..31:

    weight i      : l[i] & 15,      bits 0-1 of h[i]        weight i + 64 : l[i] >> 4,      bits 4-5 of h[i]
    weight i + 32 : l[i + 32] & 15, bits 2-3 of h[i]        weight i + 96 : l[i + 32] >> 4, bits 6-7 of h[i]

The bytes' meaning is ggml's; the choice of scales is ours: see `pack`.
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 256, 210
_CENTRE = np.float32(32)
# How many steps reach from zero to the largest magnitude at first; it then sits at or near the code -32.
_REACHES = (30.0, 31.0, 32.0, 33.0)
_CHUNK = 1024


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols), cols a multiple of 256 -> uint8 (rows, cols / 256 * 210).

    Each part tries several steps, fits its scale to each by weighted least squares (errors weigh as the weight squared
    and the mean square) and keeps the best; the int8 neighbours of the fit are tried in turn.
    """
    rows, cols = x.shape
    blocks = x.astype(np.float32).reshape(-1, 16, 16)
    packed = np.empty((len(blocks), BLOCK_BYTES), np.uint8)
    # Pieces that stay in the cache: the search passes over them several times.
    for start in range(0, len(blocks), _CHUNK):
        packed[start : start + _CHUNK] = _pack_blocks(blocks[start : start + _CHUNK])
    return packed.reshape(rows, cols // BLOCK * BLOCK_BYTES)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, cols / 256 * 210) -> float32 (rows, cols)."""
    blocks = np.ascontiguousarray(raw).reshape(-1, BLOCK_BYTES)
    low = blocks[:, :128].reshape(-1, 2, 1, 64) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1) & 15
    shifts = np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> shifts & 3
    q = (low.reshape(-1, 16, 16) | high.reshape(-1, 16, 16) << 4).astype(np.float32) - _CENTRE
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.float32)
    d = np.ascontiguousarray(blocks[:, 208:]).view("<f2").astype(np.float32)
    return ((d * scales)[..., None] * q).reshape(-1, cols)


def _pack_blocks(x: np.ndarray) -> np.ndarray:
    """float32 (blocks, 16, 16) -> uint8 (blocks, 210)."""
    weight = np.square(x)
    weight += weight.mean(axis=2, keepdims=True)
    wanted = _fit(x, weight)
    d = _unit(wanted)
    scale, codes = _round_eight_bits(x, weight, d, wanted)
    q = (codes + _CENTRE).astype(np.uint8)
    quarters = q.reshape(-1, 2, 2, 64) & 15
    low = (quarters[:, :, 0] | quarters[:, :, 1] << 4).reshape(-1, 128)
    upper = q.reshape(-1, 2, 4, 32) >> 4
    high = (upper[:, :, 0] | upper[:, :, 1] << 2 | upper[:, :, 2] << 4 | upper[:, :, 3] << 6).reshape(-1, 64)
    return np.concatenate([low, high, scale.astype(np.int8).view(np.uint8), d.astype("<f2").view(np.uint8)], axis=1)


def _fit(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Signed scales, float32 (blocks, 16), that make scale * q closest to x for q in -32..31."""
    largest = np.take_along_axis(x, np.abs(x).argmax(axis=2)[..., None], axis=2)[..., 0]
    best = np.full(largest.shape, np.inf, np.float32)
    scale = np.zeros_like(largest)
    for reach in _REACHES:
        q = _codes(x, largest / np.float32(-reach))
        wq = weight * q
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (wq * x).sum(axis=2) / (wq * q).sum(axis=2)
        error = (weight * np.square(slope[..., None] * q - x)).sum(axis=2)
        # Not a number (a part of zeros) compares false and stays zero.
        better = error < best
        best, scale = np.where(better, error, best), np.where(better, slope, scale)
    return scale


def _codes(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The nearest codes -32..31 as float32 for scales (blocks, 16)."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(scale != 0, 1 / scale, np.float32(0))
    limit = np.finfo(np.float32).max
    return np.rint(x * inverse.clip(-limit, limit)[..., None]).clip(-_CENTRE, _CENTRE - 1)


def _unit(wanted: np.ndarray) -> np.ndarray:
    """The float16 unit, as float32 (blocks, 1): the scale of largest magnitude is -128 of it, or just less."""
    largest = np.take_along_axis(wanted, np.abs(wanted).argmax(axis=1)[:, None], axis=1)
    exact = largest / np.float32(-128)
    half = exact.astype("<f2")
    outwards = np.nextafter(half, np.copysign(np.float16(np.inf), half))
    return np.where(np.abs(half) < np.abs(exact), outwards, half).astype(np.float32)


def _round_eight_bits(
    x: np.ndarray, weight: np.ndarray, d: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scales as multiples -128..127 of d, of those around the wanted ones the best, and the codes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(d != 0, np.rint(wanted / d), np.float32(0))
    best = np.full(wanted.shape, np.inf, np.float32)
    scale, codes = np.zeros_like(wanted), np.zeros_like(x)
    for more in (0, -1, 1):
        s = (first + more).clip(-128, 127)
        q = _codes(x, d * s)
        error = (weight * np.square((d * s)[..., None] * q - x)).sum(axis=2)
        better = error < best
        best, scale = np.where(better, error, best), np.where(better, s, scale)
        codes = np.where(better[..., None], q, codes)
    return scale, codes
