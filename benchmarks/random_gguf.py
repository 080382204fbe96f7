"""GGUF files of random weights in the shapes of real models, to measure speed without downloading anything.

    python benchmarks/random_gguf.py PRESET TYPE OUT.gguf [--seed 1] [--window 4096]

Blocks are drawn in their packed form and written piece by piece, so a gigabyte takes seconds and little memory.
Matrices have mean 0 and deviation 1 / sqrt(fan-in), those that write to the residual stream are damped by the depth:
activations stay near 1 and a ReLU gate is shut for half of its neurons. Embeddings, which are also the head, have
deviation 1 / sqrt(width): greedy decoding then wanders through the vocabulary instead of repeating its input. All
matrices have the type asked for; norm gains and routers are F32.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np

from dotori.formats import bf16, f16, f32, q4_0, q4_k, q6_k, q8_0

LAYOUTS = {"F32": f32, "F16": f16, "BF16": bf16, "Q8_0": q8_0, "Q4_0": q4_0, "Q4_K": q4_k, "Q6_K": q6_k}
# general.file_type of a file whose matrices are mostly of the type.
_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K": 14, "Q6_K": 18, "BF16": 32}
CONTEXT = 32768
EPSILON = 1e-5
PIECE = 1 << 22
_SIGMOID = 2
_NORMAL, CONTROL = 1, 3
_MERGES = (" t", "he", "in", " a", "re", " the", "er", "on", " w", "at")


@dataclass(frozen=True)
class Preset:
    """The shape of a model; `experts` 0 means one dense gated MLP of `inner` a layer."""

    architecture: str
    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    experts: int = 0
    active: int = 0
    rope_base: float = 10000.0


PRESETS = {
    "minicpm-1.2b": Preset("minicpm", 52, 1536, 3840, 24, 8, 64, 73440),
    "llama-1.2b": Preset("llama", 52, 1536, 3840, 24, 8, 64, 73440),
    "dense-100m": Preset("llama", 12, 768, 2048, 12, 4, 64, 32000),
    "smallthinker-4b": Preset("smallthinker", 32, 1536, 768, 12, 2, 128, 151936, 32, 4, 1.5e6),
    "smallthinker-tiny": Preset("smallthinker", 8, 512, 256, 4, 2, 128, 4096, 16, 2, 1.5e6),
}


class Tensor(NamedTuple):
    """A tensor to be written: rows first; `deviation` 0 stands for a vector of ones."""

    name: str
    shape: tuple[int, ...]
    type: str
    deviation: float


class Dice:
    """Random packed weights, the same for the same seed and calls."""

    def __init__(self, seed: int) -> None:
        """Fills the tables that turn 16 random bits into a weight, a pair of nibbles or an 8-bit code."""
        self._random = np.random.Generator(np.random.SFC64(seed))
        self._normal = self._random.standard_normal(1 << 16, dtype=np.float32)
        self._normal -= self._normal.mean()
        nibbles = np.rint(self._random.normal(7.5, 2.5, (2, 1 << 16))).clip(0, 15).astype(np.uint8)
        self._nibbles = nibbles[0] | nibbles[1] << 4
        self._bytes = np.rint(self._random.normal(0, 40, 1 << 16)).clip(-127, 127).astype(np.int8).view(np.uint8)
        self._units: dict[str, float] = {}

    def packed(self, kind: str, count: int, deviation: float) -> np.ndarray:
        """`count` weights of type `kind`, mean 0, as uint8; whole blocks only."""
        if kind not in ("Q8_0", "Q4_0", "Q4_K", "Q6_K"):
            return self._floats(kind, count, deviation)
        if kind not in self._units:
            sample = self._blocks(kind, 2048, 1.0)
            self._units[kind] = float(LAYOUTS[kind].unpack(sample, LAYOUTS[kind].BLOCK).std())
        return self._blocks(kind, count // LAYOUTS[kind].BLOCK, deviation / self._units[kind]).reshape(-1)

    def _floats(self, kind: str, count: int, deviation: float) -> np.ndarray:
        if kind == "F32":
            return (self._normal[self._words(count)] * np.float32(deviation)).astype("<f4").view(np.uint8)
        scaled = self._normal * np.float32(deviation)
        table = scaled.astype("<f2") if kind == "F16" else bf16.pack(scaled[None]).view("<u2")[0]
        return table[self._words(count)].view(np.uint8)

    def _words(self, count: int) -> np.ndarray:
        return np.frombuffer(self._random.bytes(2 * count), "<u2")

    def _raw(self, rows: int, cols: int) -> np.ndarray:
        return np.frombuffer(self._random.bytes(rows * cols), np.uint8).reshape(rows, cols)

    def _scales(self, count: int, scale: float) -> np.ndarray:
        """float16 block scales within a tenth of `scale`, either sign, as uint8 (count, 2)."""
        words = self._words(count)
        size = np.float32(scale) * (np.float32(0.9) + (words >> 1) * np.float32(0.2 / 32768))
        return np.where(words & 1, size, -size).astype("<f2").view(np.uint8).reshape(-1, 2)

    def _blocks(self, kind: str, count: int, scale: float) -> np.ndarray:
        d = self._scales(count, scale)
        if kind == "Q8_0":
            return np.concatenate([d, self._bytes[self._words(count * 32)].reshape(-1, 32)], axis=1)
        if kind == "Q4_0":
            return np.concatenate([d, self._nibbles[self._words(count * 16)].reshape(-1, 16)], axis=1)
        if kind == "Q6_K":
            # Scales below 64 would be rare in a quantized file.
            scales = self._raw(count, 16) & 0xBF | 0x40
            return np.concatenate([self._raw(count, 192), scales, d], axis=1)
        least = (d.view("<f2").astype(np.float32) * 7.5).astype("<f2").view(np.uint8)
        parts = self._q4_k_parts(count)
        return np.concatenate([d, least, parts, self._nibbles[self._words(count * 128)].reshape(-1, 128)], axis=1)

    def _q4_k_parts(self, count: int) -> np.ndarray:
        """The 12 bytes of 6-bit scales and minima, all within 32..63: the minima meet 7.5 scales on average."""
        scale, least = self._raw(count, 8) & 31 | 32, self._raw(count, 8) & 31 | 32
        first, second = slice(0, 4), slice(4, 8)
        return np.concatenate(
            [
                scale[:, first] | scale[:, second] >> 4 << 6,
                least[:, first] | least[:, second] >> 4 << 6,
                scale[:, second] & 15 | (least[:, second] & 15) << 4,
            ],
            axis=1,
        )


def tensors(preset: Preset, kind: str) -> Iterator[Tensor]:
    """Every tensor of the shape in the order of the file."""
    p, wide = preset, 1 / math.sqrt(preset.width)
    # MiniCPM multiplies embeddings by 12 and damps what is added to the residual stream itself.
    own_damping = p.architecture == "minicpm"
    damp = 1.0 if own_damping else 1 / math.sqrt(2 * p.layers)
    queries, keys = p.heads * p.head_dim, p.kv_heads * p.head_dim
    yield Tensor("token_embd.weight", (p.vocabulary, p.width), kind, wide)
    for layer in range(p.layers):
        b = f"blk.{layer}."
        yield Tensor(b + "attn_norm.weight", (p.width,), "F32", 0)
        yield Tensor(b + "attn_q.weight", (queries, p.width), kind, wide)
        yield Tensor(b + "attn_k.weight", (keys, p.width), kind, wide)
        yield Tensor(b + "attn_v.weight", (keys, p.width), kind, wide)
        yield Tensor(b + "attn_output.weight", (p.width, queries), kind, damp / math.sqrt(queries))
        yield Tensor(b + "ffn_norm.weight", (p.width,), "F32", 0)
        if p.experts:
            yield Tensor(b + "ffn_gate_inp.weight", (p.experts, p.width), "F32", wide)
        many, name = ((p.experts,), "_exps.weight") if p.experts else ((), ".weight")
        yield Tensor(b + "ffn_gate" + name, (*many, p.inner, p.width), kind, wide)
        yield Tensor(b + "ffn_up" + name, (*many, p.inner, p.width), kind, wide)
        # Half of the gates are shut, which the factor makes up for.
        yield Tensor(b + "ffn_down" + name, (*many, p.width, p.inner), kind, damp * math.sqrt(2 / p.inner))
    yield Tensor("output_norm.weight", (p.width,), "F32", 0)


def vocabulary(size: int) -> tuple[list[str], list[int], list[str]]:
    """Byte-level (tokens, GGUF token types, merges): 256 bytes, ten merges, end of text; the rest are words that no
    merge makes, so that whatever a random model says has text."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(printable)))
    tokens = [letters[byte] for byte in range(256)]
    merges = []
    for merged in _MERGES:
        written = "".join(letters[byte] for byte in merged.encode())
        # A longer token joins its last letter, or " the" its two known halves.
        head = 2 if len(written) > 2 else 1
        merges.append(f"{written[:head]} {written[head:]}")
        tokens.append(written)
    tokens.append("<|endoftext|>")
    types = [_NORMAL] * (len(tokens) - 1) + [CONTROL] + [_NORMAL] * (size - len(tokens))
    return tokens + [f"{letters[32]}w{index}" for index in range(len(tokens), size)], types, merges


def _metadata(writer: gguf.GGUFWriter, p: Preset, kind: str, window: int | None) -> None:
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_quantization_version(2)
    writer.add_vocab_size(p.vocabulary)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(p.width)
    writer.add_block_count(p.layers)
    writer.add_feed_forward_length(p.inner)
    writer.add_head_count(p.heads)
    writer.add_head_count_kv(p.kv_heads)
    writer.add_key_length(p.head_dim)
    writer.add_value_length(p.head_dim)
    writer.add_rope_dimension_count(p.head_dim)
    writer.add_rope_freq_base(p.rope_base)
    writer.add_layer_norm_rms_eps(EPSILON)
    if p.architecture == "minicpm":
        writer.add_embedding_scale(12.0)
        writer.add_residual_scale(1.4 / math.sqrt(p.layers))
        writer.add_logit_scale(p.width / 256)
    if p.experts:
        writer.add_expert_count(p.experts)
        writer.add_expert_used_count(p.active)
        writer.add_expert_feed_forward_length(p.inner)
        writer.add_uint32(f"{p.architecture}.expert_gating_func", _SIGMOID)
    if window is not None:
        writer.add_sliding_window(window)
    tokens, types, merges = vocabulary(p.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(types.index(CONTROL))
    writer.add_eos_token_id(types.index(CONTROL))
    writer.add_add_bos_token(False)


def make(path: Path | str, preset: str, kind: str, seed: int = 1, window: int | None = None) -> int:
    """Writes the file and returns the bytes of its tensors.

    `preset`: a key of PRESETS; `kind`: a key of LAYOUTS; `window`: attention window to declare, for smallthinker.
    Raises SystemExit for other words.
    """
    if preset not in PRESETS or kind not in LAYOUTS:
        raise SystemExit(f"{preset} {kind}: one of {', '.join(PRESETS)} and one of {', '.join(LAYOUTS)} are needed")
    shape = PRESETS[preset]
    if window is not None and not shape.experts:
        raise SystemExit(f"{preset}: only smallthinker presets have a window")
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(f"random {preset} {kind}")
    _metadata(writer, shape, kind, window)
    plan = list(tensors(shape, kind))
    for tensor in plan:
        _declare(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    out, dice = writer.fout[0], Dice(seed)
    writer.write_padding(out, out.tell())
    for tensor in plan:
        count = math.prod(tensor.shape)
        for start in range(0, count, PIECE):
            piece = min(PIECE, count - start)
            ones = tensor.deviation == 0
            data = np.ones(piece, "<f4") if ones else dice.packed(tensor.type, piece, tensor.deviation)
            out.write(data.data)
        writer.write_padding(out, _bytes_of(tensor))
    writer.close()
    return sum(_bytes_of(tensor) for tensor in plan)


def _bytes_of(tensor: Tensor) -> int:
    layout = LAYOUTS[tensor.type]
    return math.prod(tensor.shape) // layout.BLOCK * layout.BLOCK_BYTES


def _declare(writer: gguf.GGUFWriter, tensor: Tensor) -> None:
    layout = LAYOUTS[tensor.type]
    row = tensor.shape[-1] // layout.BLOCK * layout.BLOCK_BYTES
    kind = gguf.GGMLQuantizationType[tensor.type]
    writer.add_tensor_info(tensor.name, (*tensor.shape[:-1], row), np.dtype(np.uint8), _bytes_of(tensor), kind)


def main() -> None:
    """Writes one file as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("type", choices=LAYOUTS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=int, help="attention window to declare, for smallthinker")
    words = parser.parse_args()
    print(f"{words.out}: {make(words.out, words.preset, words.type, words.seed, words.window):,} bytes of tensors")


if __name__ == "__main__":
    main()
