"""Small random models of every dense family."""

import torch

from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer


def random_model(
    model_type: str, vocab_size: int, head_dim: int = 16, tied: bool = True
) -> tuple[ModelConfig, Transformer]:
    """Three layers of width 64, biases, query norms and multipliers where the family has them."""
    multipliers = {"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "logits_scaling": 2.0}
    config = ModelConfig(
        model_type=model_type,
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_dim,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=2,
        attention_bias=model_type == "qwen2",
        qk_norm=model_type == "qwen3",
        **(multipliers if model_type in ("granite", "minicpm") else {}),
    )
    model, generator = Transformer(config).eval(), torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, 1.0 if parameter.ndim == 1 else 0.0, 0.1, generator=generator)
    return config, model
