"""A model with multipliers in the form of one without: Granite and MiniCPM as Llama, with the same logits.

The embedding's multiplier goes into its table, the residual one into the o and down projections, the softmax scale into
the q projection, and what the head must divide by into the gain of the final norm; a tied head stays tied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dotori.checkpoint.folder import model_of
from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer


def llama_form(model: Transformer) -> Transformer:
    """The model itself when it has no multipliers, else its Llama twin; its weights are copied only where they change.

    The logits agree but for the rounding of float32.
    """
    c = model.config
    if c.model_type not in ("granite", "minicpm"):
        return model
    factors = _factors(c)
    state = {}
    for name, parameter in model.named_parameters():
        factor = next((value for end, value in factors.items() if name.endswith(end)), 1.0)
        # Products in float64 are rounded once.
        state[name] = parameter.detach() if factor == 1.0 else (parameter.detach().double() * factor).float()
    return model_of(llama_config(c), state)


def llama_config(config: ModelConfig) -> ModelConfig:
    """The shape of the twin."""
    plain = {"embedding_multiplier": 1.0, "residual_multiplier": 1.0, "attention_multiplier": None}
    return replace(config, model_type="llama", logits_scaling=1.0, **plain)  # type: ignore[arg-type]


def _factors(c: ModelConfig) -> Mapping[str, float]:
    """End of a tensor's name -> what it is multiplied by."""
    head = 1.0 / (c.logits_scaling * (c.embedding_multiplier if c.tie_word_embeddings else 1.0))
    return {
        "embed_tokens.weight": c.embedding_multiplier,
        "model.norm.weight": head,
        "o_proj.weight": c.residual_multiplier,
        "down_proj.weight": c.residual_multiplier,
        "q_proj.weight": c.softmax_scale * c.head_dim**0.5,
    }
