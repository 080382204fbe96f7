"""A model as one GGUF file that llama.cpp and our runtime read, and back.

Names, keys and the order of Q/K rows are llama.cpp's. For its `llama`, `granite` and `minicpm` architectures RoPE turns
neighbours (2i, 2i+1), where Hugging Face turns (i, i + H/2); the rows of Q and K are reordered accordingly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch

from dotori.checkpoint.gguf_file import GGUFFile
from dotori.checkpoint.gguf_tokenizer import CONTROL, NORMAL, UNUSED, USER_DEFINED, tokenizer_of
from dotori.errors import UserError
from dotori.files import disk_errors
from dotori.formats import f16, f32, q4_0, q8_0
from dotori.model.config import ModelConfig
from dotori.model.rope import inverse_frequencies
from dotori.tokenizer.byte_level import VocabularyParts
from dotori.tokenizer.load import Tokenizer

_ARCHITECTURES = {"llama": "llama", "mistral": "llama"} | {n: n for n in ("qwen2", "qwen3", "granite", "minicpm")}
_PERMUTED = ("llama", "granite", "minicpm")
_LAYOUTS = {"F32": f32, "F16": f16, "Q8_0": q8_0, "Q4_0": q4_0}
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


class GGUFModel(NamedTuple):
    """A model read from a file: float32 tensors under Hugging Face names, and all its metadata."""

    config: ModelConfig
    state: dict[str, torch.Tensor]
    tokenizer: Tokenizer
    metadata: dict[str, Any]


def tensor_names(config: ModelConfig) -> dict[str, str]:
    """Hugging Face name -> GGUF name of every tensor of the architecture."""
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if not config.tie_word_embeddings:
        names["lm_head.weight"] = "output.weight"
    for layer in range(config.num_hidden_layers):
        for ours, theirs in _LAYER_NAMES.items():
            if not ours.endswith("_norm") or config.qk_norm:
                names[f"model.layers.{layer}.{ours}.weight"] = f"blk.{layer}.{theirs}.weight"
        for part in "qkv" if config.attention_bias else "":
            names[f"model.layers.{layer}.self_attn.{part}_proj.bias"] = f"blk.{layer}.attn_{part}.bias"
    return names


def quantize(name: str, x: np.ndarray, file_type: str) -> tuple[str, np.ndarray]:
    """The type a tensor gets in a file of `file_type`, and its packed bytes.

    Vectors stay F32. In a Q4_0 file embedding and head are Q8_0: they are read by every token and hurt most. Rows that
    are no multiple of 32 become F16.
    """
    if x.ndim == 1 or file_type == "F32":
        return "F32", f32.pack(x.reshape(1, -1) if x.ndim == 1 else x)
    kind = "Q8_0" if file_type == "Q4_0" and name in ("token_embd.weight", "output.weight") else file_type
    if x.shape[1] % _LAYOUTS[kind].BLOCK:
        kind = "F16"
    return kind, _LAYOUTS[kind].pack(x)


def round_trip(config: ModelConfig, state: Mapping[str, torch.Tensor], file_type: str) -> dict[str, torch.Tensor]:
    """`state` as a file of `file_type` would give it back; never touches a disk."""
    result = {}
    for ours, theirs in tensor_names(config).items():
        kind, packed = quantize(theirs, _to_file(config, ours, state[ours].numpy()), file_type)
        shape = state[ours].shape
        unpacked = _LAYOUTS[kind].unpack(packed, shape[-1]).reshape(shape)
        result[ours] = torch.from_numpy(_from_file(config, ours, unpacked))
    return result


def _heads_of(config: ModelConfig, name: str) -> int | None:
    """The number of heads whose rows are reordered in this tensor, None where none are."""
    if _ARCHITECTURES[config.model_type] not in _PERMUTED:
        return None
    if ".q_proj." in name:
        return config.num_attention_heads
    return config.num_key_value_heads if ".k_proj." in name else None


def _to_file(config: ModelConfig, name: str, x: np.ndarray) -> np.ndarray:
    heads = _heads_of(config, name)
    if heads is None:
        return x
    return x.reshape(heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def _from_file(config: ModelConfig, name: str, x: np.ndarray) -> np.ndarray:
    heads = _heads_of(config, name)
    if heads is None:
        return x
    return np.ascontiguousarray(x.reshape(heads, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape))


def write_gguf(
    path: Path,
    config: ModelConfig,
    state: Mapping[str, torch.Tensor],
    tokenizer: Tokenizer,
    file_type: str,
    extra: Mapping[str, str | int | float],
) -> dict[str, str]:
    """Writes `path` and returns GGUF tensor name -> type. `extra` are further metadata keys.

    `state`: float32 on the CPU under Hugging Face names. Raises UserError for a tensor that is not finite, a type or a
    tokenizer that cannot be written.
    """
    if file_type not in FILE_TYPES:
        raise UserError(f"type: {file_type!r}; one of {', '.join(FILE_TYPES)} is needed; correct it")
    writer = gguf.GGUFWriter(path, _ARCHITECTURES[config.model_type])
    _add_shape(writer, config, file_type)
    _add_tokenizer(writer, tokenizer.parts(), config)
    for key, value in extra.items():
        add = {str: writer.add_string, int: writer.add_int64, float: writer.add_float64}[type(value)]
        add(key, value)  # type: ignore[operator]
    kinds = {}
    for ours, theirs in tensor_names(config).items():
        x = state[ours].detach().numpy()
        if not np.isfinite(x).all():
            raise UserError(f"{ours}: holds NaN or infinity; weights must be finite; train or restore the model anew")
        kinds[theirs], packed = quantize(theirs, _to_file(config, ours, x), file_type)
        _add_tensor(writer, theirs, packed, kinds[theirs], x)
    if config.rope_scaling is not None and config.rope_scaling.get("rope_type") == "llama3":
        factors = inverse_frequencies(_plain_rope(config)) / inverse_frequencies(config)
        writer.add_tensor("rope_freqs.weight", factors.numpy())
    with disk_errors(path):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return kinds


def _add_tensor(writer: gguf.GGUFWriter, name: str, packed: np.ndarray, kind: str, x: np.ndarray) -> None:
    dtype = gguf.GGMLQuantizationType[kind]
    if kind in ("F32", "F16"):
        writer.add_tensor(name, packed.view("<f4" if kind == "F32" else "<f2").reshape(x.shape), raw_dtype=dtype)
    else:
        writer.add_tensor(name, packed, raw_dtype=dtype)


def _plain_rope(config: ModelConfig) -> ModelConfig:
    fields = {name: getattr(config, name) for name in config.__dataclass_fields__}
    return ModelConfig(**(fields | {"rope_scaling": None}))


def _add_shape(writer: gguf.GGUFWriter, c: ModelConfig, file_type: str) -> None:
    writer.add_file_type(FILE_TYPES[file_type])
    writer.add_quantization_version(2)
    writer.add_vocab_size(c.vocab_size)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    if c.rope_scaling is not None and c.rope_scaling.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(c.rope_scaling["factor"]))
    if c.model_type in ("granite", "minicpm"):
        writer.add_embedding_scale(c.embedding_multiplier)
        writer.add_residual_scale(c.residual_multiplier)
        writer.add_logit_scale(c.logits_scaling)
    if c.model_type == "granite":
        writer.add_attention_scale(c.softmax_scale)


def _add_tokenizer(writer: gguf.GGUFWriter, parts: VocabularyParts, config: ModelConfig) -> None:
    tokens = list(parts.tokens) + [""] * (config.vocab_size - len(parts.tokens))
    types = [NORMAL if token else UNUSED for token in tokens]
    for index in parts.control:
        types[index] = CONTROL
    for index in parts.added:
        types[index] = USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(parts.pretokenizer)
    writer.add_token_list([token or f"[unused{index}]" for index, token in enumerate(tokens)])
    writer.add_token_types(types)
    writer.add_token_merges([f"{left} {right}" for left, right in parts.merges])
    if parts.bos_id is not None:
        writer.add_bos_token_id(parts.bos_id)
    if parts.eos_id is not None:
        writer.add_eos_token_id(parts.eos_id)
    if parts.pad_id is not None:
        writer.add_pad_token_id(parts.pad_id)
    writer.add_add_bos_token(parts.bos_id is not None)
    if parts.chat_template is not None:
        writer.add_chat_template(parts.chat_template)


def read_gguf(path: Path) -> GGUFModel:
    """Reads a file of write_gguf or of llama.cpp's converter, dequantized; raises UserError naming what is wrong."""
    file = GGUFFile(path)
    config = _config(file)
    names = tensor_names(config)
    state = {}
    for ours, theirs in names.items():
        x = file.read(theirs)
        if x.ndim == 1 and x.shape[0] not in (config.hidden_size, config.head_dim) and not ours.endswith(".bias"):
            raise file.fail(f"shape of {theirs}", x.shape, "it must agree with the metadata")
        state[ours] = torch.from_numpy(_from_file(config, ours, x))
    _check_shapes(file, config, state)
    return GGUFModel(config, state, tokenizer_of(file), file.metadata)


def _check_shapes(file: GGUFFile, c: ModelConfig, state: Mapping[str, torch.Tensor]) -> None:
    q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    rows = {"embed_tokens": c.vocab_size, "lm_head": c.vocab_size, "q_proj": q, "k_proj": kv, "v_proj": kv}
    rows |= {"o_proj": c.hidden_size, "down_proj": c.hidden_size}
    rows |= {"gate_proj": c.intermediate_size, "up_proj": c.intermediate_size}
    columns = {"o_proj": q, "down_proj": c.intermediate_size}
    for name, tensor in state.items():
        part = name.split(".")[-2]
        if part in rows:
            expected = (rows[part], columns.get(part, c.hidden_size))
            if tuple(tensor.shape) != (expected if tensor.ndim == 2 else expected[:1]):
                raise file.fail(f"shape of {name}", tuple(tensor.shape), f"{expected} by the metadata")


def _config(file: GGUFFile) -> ModelConfig:
    arch = file.metadata.get("general.architecture")
    if not isinstance(arch, str) or arch not in _ARCHITECTURES.values():
        known = sorted(set(_ARCHITECTURES.values()))
        raise file.fail("general.architecture", repr(arch), f"one of {', '.join(known)} is supported")

    def number(key: str, default: float | None = None) -> Any:
        value = file.metadata.get(f"{arch}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise file.fail(f"{arch}.{key}", repr(value), "a number is needed")
        return value

    heads, hidden = number("attention.head_count"), number("embedding_length")
    scaling = {"rope_type": "linear", "factor": number("rope.scaling.factor", 1.0)}
    if "rope_freqs.weight" in file.tensors:
        raise file.fail("rope_freqs.weight", "", "llama3 RoPE scaling is read from model folders only")
    return ModelConfig(
        model_type=arch,
        vocab_size=len(file.metadata.get("tokenizer.ggml.tokens") or []),
        hidden_size=hidden,
        intermediate_size=number("feed_forward_length"),
        num_hidden_layers=_layers(file, number("block_count")),
        num_attention_heads=heads,
        num_key_value_heads=number("attention.head_count_kv", heads),
        head_dim=number("attention.key_length", hidden // heads if heads else 0),
        max_position_embeddings=number("context_length"),
        rope_theta=float(number("rope.freq_base", 10000.0)),
        rope_scaling=scaling if file.metadata.get(f"{arch}.rope.scaling.type") == "linear" else None,
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings="output.weight" not in file.tensors,
        attention_bias=arch == "qwen2",
        qk_norm=arch == "qwen3",
        embedding_multiplier=number("embedding_scale", 1.0),
        residual_multiplier=number("residual_scale", 1.0),
        attention_multiplier=number("attention.scale") if arch == "granite" else None,
        logits_scaling=number("logit_scale", 1.0),
        bos_token_id=file.metadata.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=file.metadata.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=file.metadata.get("tokenizer.ggml.padding_token_id"),
    )


def _layers(file: GGUFFile, count: Any) -> int:
    if not isinstance(count, int) or count > len(file.tensors):
        raise file.fail("block_count", count, f"the file has {len(file.tensors)} tensors")
    return count
