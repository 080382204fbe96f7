"""Block formats: bit-equal to the gguf package's quantizers, and within half a step of what was packed."""

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.formats import f16, f32, q4_0, q8_0

QUANTIZED = {"Q4_0": q4_0, "Q8_0": q8_0}


def weights(seed: int, rows: int, blocks: int, scale: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows, blocks * 32)) * scale
    x[0, :32] = 0
    return x.astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(QUANTIZED)), st.integers(0, 999), st.integers(1, 4), st.integers(1, 5), st.floats(1e-6, 1e3)
)
def test_packing_is_bit_equal_to_the_gguf_package(name, seed, rows, blocks, scale):
    x = weights(seed, rows, blocks, scale)
    kind = gguf.GGMLQuantizationType[name]
    packed = QUANTIZED[name].pack(x)
    assert np.array_equal(packed, gguf.quants.quantize(x, kind))
    assert np.array_equal(QUANTIZED[name].unpack(packed, x.shape[1]), gguf.quants.dequantize(packed, kind))


@pytest.mark.parametrize(("name", "steps"), [("Q8_0", 254), ("Q4_0", 15)])
def test_what_comes_back_is_within_a_step(name, steps):
    x = weights(0, 8, 6, 1.0)
    back = QUANTIZED[name].unpack(QUANTIZED[name].pack(x), x.shape[1])
    blocks, errors = x.reshape(-1, 32), np.abs(back - x).reshape(-1, 32)
    # The largest magnitude sets the step; Q4_0 reaches +7 steps only, so the far end may miss by a whole one.
    step = 2 * np.abs(blocks).max(axis=1, keepdims=True) / steps
    assert (errors <= step * 1.1 + 1e-7).all()


def test_floats_are_exact():
    x = weights(1, 3, 2, 1.0)
    assert np.array_equal(f32.unpack(f32.pack(x), 64), x)
    assert np.array_equal(f16.unpack(f16.pack(x), 64), x.astype(np.float16).astype(np.float32))


def test_byte_layouts_are_as_documented():
    x = np.zeros((1, 32), dtype=np.float32)
    x[0, 0], x[0, 16], x[0, 5] = -8, 7, 1
    packed = q4_0.pack(x)[0]
    assert packed[:2].view("<f2")[0] == 1
    assert packed[2] == 0 | 15 << 4
    assert packed[2 + 5] == 9 | 8 << 4
    eight = q8_0.pack(x * 127 / 8)[0]
    assert eight[:2].view("<f2")[0] == 1
    assert eight[2:].view(np.int8)[[0, 16]].tolist() == [-127, 111]
