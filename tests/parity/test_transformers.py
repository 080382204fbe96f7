"""Parity with transformers on random weights: their folder in our decoder, our folder in theirs, float32, <= 1e-4."""

import json
import os

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

from dotori.checkpoint.folder import read_model, write_model  # noqa: E402
from dotori.checkpoint.lineage import Lineage, check_files, read_lineage  # noqa: E402
from dotori.model.config import ModelConfig, mup_config  # noqa: E402
from dotori.model.transformer import Transformer  # noqa: E402
from dotori.tokenizer.load import Tokenizer  # noqa: E402

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama3-rope": ("Llama", {"rope_parameters": LLAMA3}),
    "linear-rope": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}),
    "mistral": ("Mistral", {"sliding_window": None, "head_dim": 16}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "granite": (
        "Granite",
        {
            "embedding_multiplier": 12.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.3,
            "logits_scaling": 4.0,
        },
    ),
}
IDS = torch.randint(0, 61, (2, 100), generator=torch.Generator().manual_seed(3))


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.normal_(mean=0.0, std=0.15, generator=generator)


def tiny_tokenizer(vocab_size: int) -> Tokenizer:
    raw = RawTokenizer(models.BPE(vocab={f"t{i}": i for i in range(vocab_size)}, merges=[]))
    return Tokenizer({"tokenizer.json": raw.to_str().encode()}, "tiny")


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_their_folder_gives_the_same_logits_here(name, tmp_path):
    family, fields = FAMILIES[name]
    config = getattr(transformers, f"{family}Config")(**SHAPE, **fields)
    theirs = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours, _ = read_model(tmp_path)
    assert (ours(IDS) - theirs(IDS).logits).abs().max() <= 1e-4


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_our_folder_gives_the_same_logits_there(name, tmp_path):
    family, fields = FAMILIES[name]
    config = getattr(transformers, f"{family}Config")(**SHAPE, **fields)
    getattr(transformers, f"{family}ForCausalLM")(config).save_pretrained(tmp_path / "theirs")
    ours, _ = read_model(tmp_path / "theirs")
    randomise(ours)
    write_model(tmp_path / "ours", ours, tiny_tokenizer(61), Lineage(stage="test", settings={}))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", trust_remote_code=False).eval()
    assert type(theirs).__name__ == f"{family}ForCausalLM"
    assert (ours(IDS) - theirs(IDS).logits).abs().max() <= 1e-4
    assert check_files(tmp_path / "ours", read_lineage(tmp_path / "ours").files) == []


@torch.no_grad()
def test_our_own_models_are_stock_granite(tmp_path):
    shape = {key: value for key, value in SHAPE.items() if key != "head_dim"}
    ours = Transformer(mup_config(**shape, bos_token_id=0, eos_token_id=2))
    randomise(ours)
    write_model(tmp_path / "m", ours, tiny_tokenizer(61), Lineage(stage="test", settings={}))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    assert (ours(IDS) - theirs(IDS).logits).abs().max() <= 1e-4


def minicpm_logits(state: dict[str, np.ndarray], c: dict, ids: list[int]) -> np.ndarray:
    """MiniCPM's forward pass as its paper and configuration state it, in float64, one sequence, no cache."""

    def norm(x, w):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + c["rms_norm_eps"]) * w

    def turn(x):  # (T, heads, H)
        half = x.shape[-1] // 2
        angles = np.arange(len(x))[:, None] * c["rope_theta"] ** (-np.arange(half) / half)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    d, n, k, t = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"], len(ids)
    h, depth = d // n, c["scale_depth"] / c["num_hidden_layers"] ** 0.5
    x = state["model.embed_tokens.weight"][ids] * c["scale_emb"]
    for layer in range(c["num_hidden_layers"]):
        w = {name: state[f"model.layers.{layer}.{name}.weight"] for name in _LAYER}
        y = norm(x, w["input_layernorm"])
        q, key, v = (
            (y @ w[f"self_attn.{p}_proj"].T).reshape(t, heads, h) for p, heads in (("q", n), ("k", k), ("v", k))
        )
        q, key = turn(q), np.repeat(turn(key), n // k, axis=1)
        scores = np.einsum("qnh,knh->nqk", q, key) / np.sqrt(h)
        scores = np.where(np.tril(np.ones((t, t), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.einsum("nqk,knh->qnh", weights, np.repeat(v, n // k, axis=1)).reshape(t, d)
        x = x + depth * (mixed @ w["self_attn.o_proj"].T)
        y = norm(x, w["post_attention_layernorm"])
        gate, up = y @ w["mlp.gate_proj"].T, y @ w["mlp.up_proj"].T
        x = x + depth * ((gate / (1 + np.exp(-gate)) * up) @ w["mlp.down_proj"].T)
    x = norm(x, state["model.norm.weight"]) / (d / c["dim_model_base"])
    return x @ state["model.embed_tokens.weight"].T


_LAYER = (
    *(f"self_attn.{p}_proj" for p in "qkvo"),
    *(f"mlp.{p}_proj" for p in ("gate", "up", "down")),
    "input_layernorm",
    "post_attention_layernorm",
)


@torch.no_grad()
def test_minicpm_equals_its_numpy_reference_and_survives_a_round_trip(tmp_path):
    c = SHAPE | {"model_type": "minicpm", "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 16}
    c |= {"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True, "auto_map": {"AutoModel": "x.Evil"}}
    config = ModelConfig(
        model_type="minicpm",
        **SHAPE,
        head_dim=12,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        embedding_multiplier=12.0,
        residual_multiplier=1.4 / 3**0.5,
        logits_scaling=3.0,
    )
    model = Transformer(config)
    randomise(model)
    write_model(tmp_path / "m", model, tiny_tokenizer(61), Lineage(stage="test", settings={}))
    stored = json.loads((tmp_path / "m" / "config.json").read_text())
    assert {key: stored[key] for key in ("scale_emb", "dim_model_base")} == {"scale_emb": 12.0, "dim_model_base": 16}
    (tmp_path / "m" / "config.json").write_text(json.dumps(c))
    read, _ = read_model(tmp_path / "m")
    state = {name: parameter.double().numpy() for name, parameter in read.named_parameters()}
    expected = minicpm_logits(state, c, IDS[0].tolist())
    assert np.abs(read(IDS)[0].numpy() - expected).max() <= 1e-4
