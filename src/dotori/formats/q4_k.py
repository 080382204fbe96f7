"""Q4_K: 256 weights in 144 bytes, 4.5 bits a weight.

    | d: float16 | dmin: float16 | s0 s1 ... s11: 12 bytes | b0 b1 ... b127: 128 bytes |

Eight parts of 32 weights, each with a 6-bit scale and a 6-bit minimum:

    weight i of part p = d * scale[p] * q - dmin * least[p]

    parts 0, 1 = b0..b31, low and high nibbles; 2, 3 = b32..b63; 4, 5 = b64..b95; 6, 7 = b96..b127
    p in 0..3:  scale[p] = s[p] & 63        scale[p + 4] = (s[p + 8] & 15) | (s[p] >> 6) << 4
                least[p] = s[p + 4] & 63    least[p + 4] = (s[p + 8] >> 4) | (s[p + 4] >> 6) << 4

The bytes' meaning is ggml's; the choice of scales is ours: see `pack`.
"""

from __future__ import annotations

import numpy as np

BLOCK, BLOCK_BYTES = 256, 144
_TOP = np.float32(15)
_SIX_BITS = np.float32(63)
# How many steps the range of a part is cut into at first: more than 15 leaves its far ends clipped, fewer waste codes.
_CUTS = (12.5, 13.5, 14.25, 15.0, 15.75, 16.5, 17.5)
_CHUNK = 1024


def pack(x: np.ndarray) -> np.ndarray:
    """float32 (rows, cols), cols a multiple of 256 -> uint8 (rows, cols / 256 * 144).

    Each part tries several steps, fits scale and minimum to each by weighted least squares and keeps the best; errors
    weigh as rms + |w|, so that large weights keep their value. The six-bit neighbours of the fit are tried in turn.
    """
    rows, cols = x.shape
    blocks = x.astype(np.float32).reshape(-1, 8, 32)
    packed = np.empty((len(blocks), BLOCK_BYTES), np.uint8)
    # Pieces that stay in the cache: the search passes over them some twenty times.
    for start in range(0, len(blocks), _CHUNK):
        packed[start : start + _CHUNK] = _pack_blocks(blocks[start : start + _CHUNK])
    return packed.reshape(rows, cols // BLOCK * BLOCK_BYTES)


def unpack(raw: np.ndarray, cols: int) -> np.ndarray:
    """uint8 (rows, cols / 256 * 144) -> float32 (rows, cols)."""
    blocks = np.ascontiguousarray(raw).reshape(-1, BLOCK_BYTES)
    d = np.ascontiguousarray(blocks[:, :4]).view("<f2").astype(np.float32)
    scale, least = _join(blocks[:, 4:16])
    # (blocks, 4 groups of 32 bytes, low and high, 32) is the order of the weights.
    nibbles = blocks[:, 16:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1) & 15
    q = nibbles.reshape(-1, 8, 32).astype(np.float32)
    return ((d[:, :1] * scale)[..., None] * q - (d[:, 1:] * least)[..., None]).reshape(-1, cols)


def _join(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (blocks, 12) -> scales and minima of the eight parts, uint8 (blocks, 8) each."""
    a, b, c = s[:, :4], s[:, 4:8], s[:, 8:]
    return np.concatenate([a & 63, c & 15 | a >> 6 << 4], axis=1), np.concatenate(
        [b & 63, c >> 4 | b >> 6 << 4], axis=1
    )


def _split(scale: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The inverse of `_join`."""
    (a, c), (b, e) = (scale[:, :4], scale[:, 4:]), (least[:, :4], least[:, 4:])
    return np.concatenate([a | c >> 4 << 6, b | e >> 4 << 6, c & 15 | (e & 15) << 4], axis=1)


def _pack_blocks(x: np.ndarray) -> np.ndarray:
    """float32 (blocks, 8, 32) -> uint8 (blocks, 144)."""
    weight = np.abs(x) + np.sqrt(np.square(x).mean(axis=2, keepdims=True))
    wanted_scale, wanted_least = _fit(x, weight)
    d, dmin = _unit(wanted_scale), _unit(wanted_least)
    scale, least, q = _round_six_bits(x, weight, (d, wanted_scale), (dmin, wanted_least))
    codes = q.astype(np.uint8).reshape(-1, 4, 2, 32)
    nibbles = (codes[:, :, 0] | codes[:, :, 1] << 4).reshape(-1, 128)
    halves = np.concatenate([d, dmin], axis=1).astype("<f2").view(np.uint8)
    return np.concatenate([halves, _split(scale.astype(np.uint8), least.astype(np.uint8)), nibbles], axis=1)


def _fit(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales and minima, float32 (blocks, 8) and not negative, that make scale * q - least closest to x."""
    low, high = x.min(axis=2).clip(max=0), x.max(axis=2).clip(min=0)
    best = np.full(low.shape, np.inf, np.float32)
    scale, least = np.zeros_like(low), np.zeros_like(low)
    weights, wx = weight.sum(axis=2), weight * x
    x_sum = wx.sum(axis=2)
    for cut in _CUTS:
        q = _codes(x, (high - low) / np.float32(cut), -low)
        wq = weight * q
        q_sum, qq_sum, qx_sum = wq.sum(axis=2), (wq * q).sum(axis=2), (wx * q).sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = weights * qq_sum - q_sum * q_sum
            slope = (weights * qx_sum - q_sum * x_sum) / spread
            shift = (q_sum * slope - x_sum) / weights
            # A minimum cannot be negative, and one code cannot tell it from the scale: the line goes through zero.
            through_zero = (shift < 0) | (spread <= np.float32(1e-6) * weights * qq_sum)
            slope, shift = np.where(through_zero, qx_sum / qq_sum, slope), np.where(through_zero, 0, shift)
        error = (weight * np.square(slope[..., None] * q - shift[..., None] - x)).sum(axis=2)
        # Not a number, where all codes are zero, compares false and is not taken.
        better = (error < best) & (slope > 0)
        best = np.where(better, error, best)
        scale, least = np.where(better, slope, scale), np.where(better, shift, least)
    # All codes zero every time: the part is one value, its minimum.
    return scale, np.where(np.isinf(best), -low, least)


def _codes(x: np.ndarray, scale: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The nearest codes 0..15 as float32 for scales and minima (blocks, 8)."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(scale > 0, 1 / scale, np.float32(0)).clip(max=np.finfo(np.float32).max)
    return np.rint((x + least[..., None]) * inverse[..., None]).clip(0, _TOP)


def _unit(wanted: np.ndarray) -> np.ndarray:
    """The float16 unit, as float32 (blocks, 1), of six-bit multiples that reach all of `wanted`."""
    exact = wanted.max(axis=1, keepdims=True) / _SIX_BITS
    half = exact.astype("<f2")
    return np.where(half < exact, np.nextafter(half, np.float16(np.inf)), half).astype(np.float32)


def _round_six_bits(
    x: np.ndarray, weight: np.ndarray, scales: tuple[np.ndarray, np.ndarray], minima: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scales and minima as multiples 0..63 of their units, and the codes.

    `scales` and `minima` are (unit, wanted). Of the multiples around the wanted ones the best pair is kept.
    """
    (d, wanted), (dmin, _) = scales, minima
    first = [_multiples(aim, unit) for unit, aim in (scales, minima)]
    best = np.full(wanted.shape, np.inf, np.float32)
    scale, least = np.zeros_like(best), np.zeros_like(best)
    codes = np.zeros_like(x)
    for more in (0, -1, 1):
        for rise in (0, -1, 1):
            s, m = (first[0] + more).clip(0, _SIX_BITS), (first[1] + rise).clip(0, _SIX_BITS)
            q = _codes(x, d * s, dmin * m)
            error = (weight * np.square((d * s)[..., None] * q - (dmin * m)[..., None] - x)).sum(axis=2)
            better = error < best
            best = np.where(better, error, best)
            scale, least = np.where(better, s, scale), np.where(better, m, least)
            codes = np.where(better[..., None], q, codes)
    return scale, least, codes


def _multiples(wanted: np.ndarray, unit: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(unit > 0, np.rint(wanted / unit), np.float32(0)).clip(0, _SIX_BITS)
