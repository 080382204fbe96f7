"""Q4_K, Q6_K and BF16: read as the gguf package reads them, and packed close to what was given."""

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.formats import bf16, q4_0, q4_k, q6_k

SEARCHED = {"Q4_K": q4_k, "Q6_K": q6_k}


def weights(seed: int, rows: int, blocks: int, scale: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    x = generator.standard_t(5, (rows, blocks * 256)) * scale
    x[0, :64] = 0
    return x.astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(SEARCHED)), st.integers(0, 999), st.integers(1, 4), st.integers(1, 3))
def test_any_bytes_are_read_as_the_gguf_package_reads_them(name, seed, rows, blocks):
    raw = np.random.default_rng(seed).integers(0, 256, (rows, blocks * SEARCHED[name].BLOCK_BYTES), dtype=np.uint8)
    # Random scales are sometimes infinite or not a number, and those must come out alike too.
    with np.errstate(all="ignore"):
        ours = SEARCHED[name].unpack(raw, blocks * 256)
        theirs = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
    assert np.array_equal(ours, theirs, equal_nan=True)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(SEARCHED)),
    st.integers(0, 999),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-9, 1e-6, 1e-3, 1.0, 1e3]),
    st.sampled_from([0.0, -3.0, 5.0]),
)
def test_what_comes_back_is_within_a_step(name, seed, rows, blocks, scale, shift):
    x = weights(seed, rows, blocks, scale) + np.float32(shift * scale)
    back = SEARCHED[name].unpack(SEARCHED[name].pack(x), x.shape[1])
    part = 32 if name == "Q4_K" else 16
    split, errors = x.reshape(-1, part), np.abs(back - x).reshape(-1, part)
    reach = np.maximum(split.max(axis=1), 0) - np.minimum(split.min(axis=1), 0)
    if name == "Q6_K":
        reach = 2 * np.abs(split).max(axis=1)
    # Beside the part's own step: the coarse grid its scale and minimum are on, set by the widest part of the block.
    grid = np.repeat(np.abs(x.reshape(-1, 256)).max(axis=1), 256 // part)
    codes, coarse = (15, 63) if name == "Q4_K" else (63, 127)
    assert (errors <= (reach / codes * 1.3 + grid / coarse * 1.1 + 1e-5)[:, None]).all()


def test_the_search_beats_the_fixed_scales_of_q4_0():
    x = weights(3, 32, 4, 0.02)
    fixed = np.square(q4_0.unpack(q4_0.pack(x), 1024) - x).mean()
    four = np.square(q4_k.unpack(q4_k.pack(x), 1024) - x).mean()
    six = np.square(q6_k.unpack(q6_k.pack(x), 1024) - x).mean()
    assert four < 0.7 * fixed
    assert six < fixed / 16


@pytest.mark.parametrize("name", sorted(SEARCHED))
def test_packing_what_was_unpacked_keeps_it(name):
    layout = SEARCHED[name]
    x = weights(4, 8, 2, 1.0)
    once = layout.unpack(layout.pack(x), 512)
    twice = layout.unpack(layout.pack(once), 512)
    assert np.abs(twice - once).max() <= 0.02 * np.abs(x).max()
    assert np.square(twice - x).mean() <= 1.1 * np.square(once - x).mean()


@pytest.mark.parametrize("name", sorted(SEARCHED))
def test_blocks_are_packed_each_on_its_own(name):
    layout = SEARCHED[name]
    # More blocks than one piece of the search.
    x = weights(5, 1100, 1, 1.0)
    assert np.array_equal(layout.pack(x)[1090:], layout.pack(x[1090:]))
    assert np.array_equal(layout.pack(x[:4].reshape(1, -1)).ravel(), layout.pack(x[:4]).ravel())


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("name", sorted(SEARCHED))
def test_equal_weights_come_back_as_they_are(name, value):
    x = np.full((2, 256), value, dtype=np.float32)
    back = SEARCHED[name].unpack(SEARCHED[name].pack(x), 256)
    assert np.abs(back - x).max() <= 2e-3


def test_byte_layouts_are_as_documented():
    four = np.zeros((1, 144), dtype=np.uint8)
    four[0, :4] = np.array([1, 0.5], "<f2").view(np.uint8)
    # Scales 1..8 and minima 9..16 for the eight parts, 33 for scale 5 and 50 for minimum 7 to use the upper bits.
    scale, least = [1, 2, 3, 4, 5, 33, 7, 8], [9, 10, 11, 12, 13, 14, 15, 50]
    for p in range(4):
        four[0, 4 + p] = scale[p] | scale[p + 4] >> 4 << 6
        four[0, 8 + p] = least[p] | least[p + 4] >> 4 << 6
        four[0, 12 + p] = scale[p + 4] & 15 | (least[p + 4] & 15) << 4
    four[0, 16 + 32 * 2 + 3] = 6 | 9 << 4
    w = q4_k.unpack(four, 256)[0].reshape(8, 32)
    assert w[4, 3] == 5 * 6 - 0.5 * 13
    assert w[5, 3] == 33 * 9 - 0.5 * 14
    assert w[7, 0] == -25
    six = np.zeros((1, 210), dtype=np.uint8)
    six[0, 208:] = np.array([0.5], "<f2").view(np.uint8)
    six[0, 192:208] = np.arange(-8, 8, dtype=np.int8).view(np.uint8)
    six[0, 64 + 32 + 5], six[0, 128 + 32 + 5] = 7 | 12 << 4, 2 << 2 | 1 << 6
    w = q6_k.unpack(six, 256)[0]
    assert w[128 + 32 + 5] == 0.5 * 2 * (7 + 32 - 32)
    assert w[128 + 96 + 5] == 0.5 * 6 * (12 + 16 - 32)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(1, 4), st.integers(1, 50))
def test_bf16_is_bit_equal_to_the_gguf_package(seed, rows, cols):
    kind = gguf.GGMLQuantizationType.BF16
    x = np.random.default_rng(seed).integers(0, 1 << 32, (rows, cols), dtype=np.uint32).view(np.float32)
    x[0, 0] = np.inf
    packed = bf16.pack(x)
    assert np.array_equal(packed, gguf.quants.quantize(x, kind))
    assert np.array_equal(bf16.unpack(packed, cols), gguf.quants.dequantize(packed, kind), equal_nan=True)


def test_bf16_ties_go_to_even():
    x = np.array([[1 + 2**-8, 1 + 3 * 2**-8, -3.0]], dtype=np.float32)
    assert bf16.unpack(bf16.pack(x), 3).tolist() == [[1.0, 1 + 2**-6, -3.0]]
