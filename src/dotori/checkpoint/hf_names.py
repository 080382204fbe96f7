"""config.json of the families we know, to ModelConfig and back. Parameter names need no table: ours are theirs.

Code in a config (auto_map and the like) is never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dotori.errors import UserError
from dotori.model.config import MODEL_TYPES, ModelConfig

_ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "granite": "GraniteForCausalLM",
    "minicpm": "MiniCPMForCausalLM",
}
_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


def config_from_hf(hf: Mapping[str, Any]) -> ModelConfig:
    """The ModelConfig of a config.json; raises UserError for whatever we cannot compute exactly."""
    kind = hf.get("model_type")
    if kind not in MODEL_TYPES:
        raise UserError(f"model_type: {kind!r}; one of {', '.join(MODEL_TYPES)} is supported; use such a checkpoint")
    for name in _SIZES:
        if name not in hf:
            raise UserError(f"config.json: {name} is missing; a {kind} model needs it; restore the file")
    _refuse(hf, kind)
    heads = hf["num_attention_heads"]
    theta, scaling = _rope(hf)
    fields: dict[str, Any] = {name: hf[name] for name in _SIZES}
    fields |= {name: hf[name] for name in ("bos_token_id", "pad_token_id", "initializer_range") if name in hf}
    eos = hf.get("eos_token_id")
    return ModelConfig(
        model_type=kind,
        num_key_value_heads=hf.get("num_key_value_heads") or heads,
        head_dim=hf.get("head_dim") or (128 if kind == "qwen3" else _whole(hf["hidden_size"], heads)),
        max_position_embeddings=hf.get("max_position_embeddings", 2048),
        rope_theta=theta,
        rope_scaling=scaling,
        rms_norm_eps=hf.get("rms_norm_eps", 1e-6),
        tie_word_embeddings=hf.get("tie_word_embeddings", kind == "minicpm"),
        attention_bias=kind == "qwen2",
        qk_norm=kind == "qwen3",
        eos_token_id=tuple(eos) if isinstance(eos, list) else eos,
        **(fields | _multipliers(hf, kind)),
    )


def _whole(hidden: int, heads: int) -> int:
    if not isinstance(hidden, int) or not isinstance(heads, int) or heads < 1 or hidden % heads:
        raise UserError(f"hidden_size: {hidden}; a multiple of num_attention_heads ({heads}) is needed; add head_dim")
    return hidden // heads


def _multipliers(hf: Mapping[str, Any], kind: str) -> dict[str, float]:
    if kind == "granite":
        names = ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling")
        return {name: float(hf.get(name, 1.0)) for name in names}
    if kind == "minicpm":
        depth = hf.get("scale_depth", 1.4) / hf["num_hidden_layers"] ** 0.5
        scaling = hf["hidden_size"] / hf.get("dim_model_base", 256)
        return {
            "embedding_multiplier": float(hf.get("scale_emb", 12)),
            "residual_multiplier": depth,
            "logits_scaling": scaling,
        }
    return {}


def _rope(hf: Mapping[str, Any]) -> tuple[float, dict[str, Any] | None]:
    """theta and scaling, from `rope_parameters` or from the older two keys."""
    parameters = hf.get("rope_parameters")
    scaling = dict(parameters if parameters is not None else hf.get("rope_scaling") or {})
    theta = float(scaling.pop("rope_theta", hf.get("rope_theta", 10000.0)))
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if scaling.pop("partial_rotary_factor", 1.0) != 1.0 or hf.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError("partial_rotary_factor: RoPE over a part of the head is not supported; use another checkpoint")
    return theta, None if kind == "default" else scaling | {"rope_type": kind}


def _refuse(hf: Mapping[str, Any], kind: str) -> None:
    """What would change the numbers and is not in our decoder."""
    if hf.get("hidden_act", "silu") not in ("silu", "swish"):
        raise UserError(f"hidden_act: {hf['hidden_act']!r}; only silu is supported; use another checkpoint")
    for name in ("attention_bias", "mlp_bias"):
        if hf.get(name):
            raise UserError(f"{name}: true; biases are supported on q, k, v of qwen2 alone; use another checkpoint")
    window = hf.get("sliding_window")
    uses_window = hf.get("use_sliding_window", kind == "mistral")
    if uses_window and window is not None and window < hf.get("max_position_embeddings", 2048):
        raise UserError(
            f"sliding_window: {window}, shorter than max_position_embeddings; windowed attention is not supported; "
            f"set max_position_embeddings to {window} to use the model within one window"
        )
    for name in ("num_local_experts", "num_experts", "n_routed_experts"):
        if hf.get(name):
            raise UserError(f"{name}: {hf[name]}; mixtures of experts are not supported; use a dense checkpoint")


def config_to_hf(config: ModelConfig) -> dict[str, Any]:
    """config.json of a model folder; raises UserError for a shape that its family cannot express."""
    kind, c = config.model_type, config
    if c.attention_bias != (kind == "qwen2") or c.qk_norm != (kind == "qwen3"):
        raise UserError(
            f"model_type: {kind} with attention_bias {c.attention_bias}, qk_norm {c.qk_norm}; q, k, v biases belong to "
            "qwen2 and QK-norm to qwen3; choose that family"
        )
    eos = list(c.eos_token_id) if isinstance(c.eos_token_id, tuple) else c.eos_token_id
    hf: dict[str, Any] = {"architectures": [_ARCHITECTURES[kind]], "model_type": kind}
    hf |= {name: getattr(c, name) for name in (*_SIZES, "num_key_value_heads", "head_dim", "max_position_embeddings")}
    hf |= {name: getattr(c, name) for name in ("rms_norm_eps", "tie_word_embeddings", "initializer_range")}
    hf |= {"hidden_act": "silu", "attention_bias": False, "rope_theta": c.rope_theta, "rope_scaling": c.rope_scaling}
    hf |= {"bos_token_id": c.bos_token_id, "eos_token_id": eos, "pad_token_id": c.pad_token_id, "dtype": "float32"}
    hf |= {"use_cache": True} | _multipliers_to_hf(c)
    if kind == "mistral":
        hf["sliding_window"] = None
    if kind in ("qwen2", "qwen3"):
        hf["use_sliding_window"] = False
    return hf


def _multipliers_to_hf(c: ModelConfig) -> dict[str, Any]:
    if c.model_type == "granite":
        return {
            "embedding_multiplier": c.embedding_multiplier,
            "residual_multiplier": c.residual_multiplier,
            "attention_multiplier": c.softmax_scale,
            "logits_scaling": c.logits_scaling,
        }
    if c.model_type == "minicpm":
        base = c.hidden_size / c.logits_scaling
        if c.attention_multiplier is None and abs(base - round(base)) < 1e-6:
            depth = c.residual_multiplier * c.num_hidden_layers**0.5
            return {"scale_emb": c.embedding_multiplier, "scale_depth": depth, "dim_model_base": round(base)}
    elif (c.embedding_multiplier, c.residual_multiplier, c.attention_multiplier, c.logits_scaling) == (1, 1, None, 1):
        return {}
    raise UserError(f"model_type: {c.model_type}; it cannot hold these multipliers; save the model as granite")
