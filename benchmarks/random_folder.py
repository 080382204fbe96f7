"""Hugging Face folders of random weights, to feed converters: the dense llama shapes of `random_gguf` in float16.

    python benchmarks/random_folder.py PRESET OUT [--seed 1] [--onnx ONNX_OUT [--python PYTHON]]

Shape, distribution and vocabulary are those of the GGUF file of the same preset, the weights are others. `--onnx` also
converts the folder into an int4 model for onnxruntime-genai with its own builder, which PYTHON must have installed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from random_gguf import CONTEXT, CONTROL, EPSILON, PIECE, PRESETS, Dice, Preset, Tensor, tensors, vocabulary

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def make(folder: Path, preset: str, seed: int = 1) -> None:
    """Writes config.json, model.safetensors and the tokenizer; raises SystemExit for a shape that is not a llama."""
    if preset not in PRESETS or PRESETS[preset].architecture != "llama":
        raise SystemExit(f"{preset}: a dense llama preset is needed")
    shape = PRESETS[preset]
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config(shape))
    _write_weights(folder / "model.safetensors", shape, seed)
    _write_tokenizer(folder, shape.vocabulary)


def build_onnx(folder: Path, out: Path, python: str = sys.executable) -> None:
    """Converts a folder for onnxruntime-genai: int4 by 32, int8 activations, head for the last token alone."""
    with tempfile.TemporaryDirectory() as cache:
        words = ["-i", str(folder), "-o", str(out), "-p", "int4", "-e", "cpu", "-c", cache]
        options = ["--extra_options", "prune_lm_head=true", "block_size=32", "accuracy_level=4"]
        command = [python, "-m", "onnxruntime_genai.models.builder", *words, *options]
        subprocess.run(command, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=sys.stderr)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _config(p: Preset) -> dict[str, object]:
    end = vocabulary(p.vocabulary)[1].index(CONTROL)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": p.vocabulary,
        "hidden_size": p.width,
        "intermediate_size": p.inner,
        "num_hidden_layers": p.layers,
        "num_attention_heads": p.heads,
        "num_key_value_heads": p.kv_heads,
        "head_dim": p.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_theta": p.rope_base,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": end,
        "eos_token_id": end,
        "torch_dtype": "float16",
    }


def _hf_name(tensor: Tensor) -> str:
    if tensor.name in _OUTER:
        return _OUTER[tensor.name]
    _, layer, part, kind = tensor.name.split(".")
    return f"model.layers.{layer}.{_NAMES[part]}.{kind}"


def _write_weights(path: Path, shape: Preset, seed: int) -> None:
    """The safetensors container: length of the header as u64, the header as JSON, the tensors one after another."""
    plan, header, at = list(tensors(shape, "F16")), {}, 0
    for tensor in plan:
        size = 2 * math.prod(tensor.shape)
        header[_hf_name(tensor)] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    text += b" " * (-len(text) % 8)
    dice = Dice(seed)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for tensor in plan:
            count = math.prod(tensor.shape)
            for start in range(0, count, PIECE):
                piece = min(PIECE, count - start)
                if tensor.deviation == 0:
                    out.write(b"\x00\x3c" * piece)
                else:
                    out.write(dice.packed("F16", piece, tensor.deviation).data)


def _write_tokenizer(folder: Path, size: int) -> None:
    tokens, types, merges = vocabulary(size)
    end = types.index(CONTROL)
    special = {"id": end, "content": tokens[end], "special": True}
    special |= {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    bytes_alone = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    pairs = [merge.split(" ") for merge in merges]
    model = {"type": "BPE", "vocab": {token: index for index, token in enumerate(tokens)}, "merges": pairs}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [special],
        "pre_tokenizer": bytes_alone,
        "decoder": bytes_alone,
        "model": model,
    }
    _write_json(folder / "tokenizer.json", tokenizer)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": tokens[end], "eos_token": tokens[end]}
    _write_json(folder / "tokenizer_config.json", settings | {"add_bos_token": False, "model_max_length": CONTEXT})


def main() -> None:
    """Writes one folder, and its ONNX model when asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("preset", choices=[name for name, shape in PRESETS.items() if shape.architecture == "llama"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--onnx", type=Path, help="folder for the int4 model of onnxruntime-genai")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has onnxruntime-genai")
    words = parser.parse_args()
    make(words.out, words.preset, words.seed)
    if words.onnx:
        build_onnx(words.out, words.onnx, words.python)


if __name__ == "__main__":
    main()
