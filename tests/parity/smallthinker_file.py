"""A small random `smallthinker` GGUF file, as llama.cpp's converter would write it."""

from pathlib import Path

import gguf
import numpy as np

from dotori.formats import bf16, f16, f32, q4_0, q4_k, q6_k, q8_0

LAYOUTS = {"F32": f32, "F16": f16, "BF16": bf16, "Q8_0": q8_0, "Q4_0": q4_0, "Q4_K": q4_k, "Q6_K": q6_k}
HIDDEN, NEURONS, HEADS, KV_HEADS, HEAD_DIM, VOCAB, EXPERTS, USED, LAYERS = 256, 256, 4, 2, 32, 320, 6, 2, 5


def write_smallthinker(path: Path, file_type: str, is_sigmoid: bool = True, window: int = 0, seed: int = 1) -> None:
    """Layers 0 and 4 are global when `window` is set."""
    writer = gguf.GGUFWriter(path, "smallthinker")
    writer.add_vocab_size(VOCAB)
    writer.add_context_length(8192)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(NEURONS)
    writer.add_expert_feed_forward_length(NEURONS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(USED)
    writer.add_expert_gating_func(
        gguf.ExpertGatingFuncType.SIGMOID if is_sigmoid else gguf.ExpertGatingFuncType.SOFTMAX
    )
    if window:
        writer.add_sliding_window(window)
    _add_tokens(writer)
    dice = np.random.default_rng(seed)
    _add(writer, dice, "token_embd.weight", (VOCAB, HIDDEN), 1.0, file_type)
    _add(writer, dice, "output_norm.weight", (HIDDEN,), 0.0, "F32")
    for layer in range(LAYERS):
        for name, shape, kind in _layer(file_type):
            _add(writer, dice, f"blk.{layer}.{name}.weight", shape, shape[-1] ** -0.5 if len(shape) > 1 else 0.0, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _layer(file_type: str) -> list[tuple[str, tuple[int, ...], str]]:
    return [
        ("attn_norm", (HIDDEN,), "F32"),
        ("ffn_norm", (HIDDEN,), "F32"),
        ("attn_q", (HEADS * HEAD_DIM, HIDDEN), file_type),
        ("attn_k", (KV_HEADS * HEAD_DIM, HIDDEN), file_type),
        ("attn_v", (KV_HEADS * HEAD_DIM, HIDDEN), file_type),
        # Rows of 128 are no whole super-block.
        ("attn_output", (HIDDEN, HEADS * HEAD_DIM), "F16" if file_type in ("Q4_K", "Q6_K") else file_type),
        ("ffn_gate_inp", (EXPERTS, HIDDEN), "F32"),
        ("ffn_gate_exps", (EXPERTS, NEURONS, HIDDEN), file_type),
        ("ffn_up_exps", (EXPERTS, NEURONS, HIDDEN), file_type),
        ("ffn_down_exps", (EXPERTS, HIDDEN, NEURONS), file_type),
    ]


def _add(writer, dice, name: str, shape: tuple[int, ...], sigma: float, file_type: str) -> None:
    if len(shape) == 1:
        writer.add_tensor(name, dice.normal(1.0, 0.1, shape).astype(np.float32))
        return
    x = dice.normal(0.0, sigma, shape).astype(np.float32)
    packed = LAYOUTS[file_type].pack(x.reshape(-1, shape[-1]))
    kind = gguf.GGMLQuantizationType[file_type]
    if file_type in ("F32", "F16"):
        writer.add_tensor(name, packed.view("<f4" if file_type == "F32" else "<f2").reshape(shape), raw_dtype=kind)
    else:
        writer.add_tensor(name, packed.reshape(*shape[:-1], -1), raw_dtype=kind)


def _add_tokens(writer) -> None:
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in keep]
    spelled = {byte: chr(byte) for byte in keep} | {byte: chr(256 + i) for i, byte in enumerate(rest)}
    tokens = [spelled[byte] for byte in range(256)] + ["ab", "<|endoftext|>"]
    types = [1] * 257 + [3]
    while len(tokens) < VOCAB:
        tokens.append(f"<unused{len(tokens)}>")
        types.append(5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(257)
    writer.add_bos_token_id(257)
