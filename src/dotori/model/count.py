"""What a shape costs: parameters, FLOPs, bytes. Pure functions of a ModelConfig."""

from __future__ import annotations

from dotori.model.attention import WHOLE_SCORES
from dotori.model.config import ModelConfig


def layer_matrices(config: ModelConfig) -> int:
    """Weights in the matrices of one layer."""
    d, h = config.hidden_size, config.head_dim
    attention = d * h * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    return attention + 3 * d * config.intermediate_size


def non_embedding_parameters(config: ModelConfig) -> int:
    """All parameters but embedding and head; MiniCPM's two published N come out exactly."""
    norms = 2 * config.hidden_size + (2 * config.head_dim if config.qk_norm else 0)
    kv_width = config.num_key_value_heads * config.head_dim
    biases = config.num_attention_heads * config.head_dim + 2 * kv_width if config.attention_bias else 0
    return config.num_hidden_layers * (layer_matrices(config) + norms + biases) + config.hidden_size


def parameters(config: ModelConfig) -> int:
    """All parameters; a tied table counts once."""
    tables = 1 if config.tie_word_embeddings else 2
    return non_embedding_parameters(config) + tables * config.vocab_size * config.hidden_size


def forward_flops_per_token(config: ModelConfig, context: int) -> float:
    """Forward FLOPs a token: 2 per weight that multiplies (head included), and causal attention over `context`."""
    matrices = config.num_hidden_layers * layer_matrices(config) + config.vocab_size * config.hidden_size
    # Scores and values, 2 * 2 * N * H FLOPs a position, of which half the context is seen on average.
    attention = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * context
    return 2 * matrices + attention


def flops_per_token(config: ModelConfig, context: int) -> float:
    """Training FLOPs a token: forward and twice as much backward."""
    return 3 * forward_flops_per_token(config, context)


def kv_bytes(config: ModelConfig, tokens: int, bytes_per_value: float = 2) -> int:
    """Bytes of the key/value cache of one sequence of `tokens`."""
    values = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * tokens
    return int(values * bytes_per_value)


def bytes_per_token(config: ModelConfig, bits_per_weight: float) -> int:
    """Weight bytes read to decode one token: every matrix and the head once."""
    weights = non_embedding_parameters(config) + config.vocab_size * config.hidden_size
    return int(weights * bits_per_weight / 8)


def training_memory_bytes(config: ModelConfig, micro_batch_tokens: int, context: int, device: str) -> int:
    """Peak bytes of a float32 step, within a fifth: weights, gradients, moments, activations, head.

    Activations a token and layer: what autograd keeps, about 14 tensors of width D, 5 of width F and, where attention
    keeps whole scores (on a "cpu"), N of width `context`, 4 bytes each; and the boolean mask, `context` bytes a token
    for all layers.
    """
    d, f = config.hidden_size, config.intermediate_size
    state = 16 * parameters(config)
    scores = config.num_attention_heads * context
    kept = scores if device == "cpu" and micro_batch_tokens * scores <= WHOLE_SCORES else 0
    activations = micro_batch_tokens * (config.num_hidden_layers * 4 * (14 * d + 5 * f + kept) + context)
    head = 3 * 4 * (1 << 22) + 4 * config.vocab_size * d
    return state + activations + head
