"""The shape of a decoder, with Hugging Face field names. Counting lives in count.py, foreign names in checkpoint/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dotori.errors import UserError

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "granite", "minicpm")
# MiniCPM's rules (arXiv 2404.06395, table 7 and the released configurations).
SCALE_EMB, SCALE_DEPTH, INIT_STD, BASE_WIDTH = 12.0, 1.4, 0.1, 256


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A dense decoder: RMSNorm before each block, grouped-query attention with RoPE, gated SiLU.

    embedding_multiplier multiplies the embedding, residual_multiplier every block's output, attention_multiplier is the
    softmax scale (None: 1/sqrt(head_dim)), logits are divided by logits_scaling. attention_bias is on q, k, v alone.
    Raises UserError for sizes that cannot be.
    """

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    qk_norm: bool = False
    embedding_multiplier: float = 1.0
    residual_multiplier: float = 1.0
    attention_multiplier: float | None = None
    logits_scaling: float = 1.0
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        if self.model_type not in MODEL_TYPES:
            raise UserError(
                f"model_type: {self.model_type!r}; one of {', '.join(MODEL_TYPES)} is supported; convert it"
            )
        for name in _POSITIVE:
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 < value < 2**31:
                raise UserError(f"{name}: {value!r}; a whole number from 1 to 2^31 - 1 is needed; correct it")
        heads, kv_heads = self.num_attention_heads, self.num_key_value_heads
        if heads % kv_heads:
            fits = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
            raise UserError(
                f"num_attention_heads: {heads}; it must be a multiple of num_key_value_heads ({kv_heads}); "
                f"set num_key_value_heads to one of {fits}"
            )
        if self.head_dim % 2:
            raise UserError(f"head_dim: {self.head_dim}; RoPE turns pairs, so it must be even; correct it")
        if not (self.rms_norm_eps > 0 and self.rope_theta > 0 and self.logits_scaling > 0):
            raise UserError(
                f"rms_norm_eps {self.rms_norm_eps}, rope_theta {self.rope_theta}, logits_scaling {self.logits_scaling};"
                " each must be positive; correct it"
            )
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            value = getattr(self, name)
            for token in value if isinstance(value, tuple) else (value,):
                if token is not None and not 0 <= token < self.vocab_size:
                    raise UserError(f"{name}: {token}; it must lie below vocab_size ({self.vocab_size}); correct it")

    @property
    def softmax_scale(self) -> float:
        """What attention scores are multiplied by."""
        return self.head_dim**-0.5 if self.attention_multiplier is None else self.attention_multiplier

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The token ids that end a text."""
        if self.eos_token_id is None:
            return ()
        return self.eos_token_id if isinstance(self.eos_token_id, tuple) else (self.eos_token_id,)


_POSITIVE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
)


def mup_config(
    *,
    vocab_size: int,
    hidden_size: int,
    intermediate_size: int,
    num_hidden_layers: int,
    num_attention_heads: int,
    num_key_value_heads: int,
    max_position_embeddings: int,
    head_dim: int | None = None,
    tie_word_embeddings: bool = True,
    rope_theta: float = 10000.0,
    scale_emb: float = SCALE_EMB,
    scale_depth: float = SCALE_DEPTH,
    init_std: float = INIT_STD,
    base_width: int = BASE_WIDTH,
    bos_token_id: int | None = None,
    eos_token_id: int | tuple[int, ...] | None = None,
    pad_token_id: int | None = None,
) -> ModelConfig:
    """A decoder of our own under MiniCPM's width and depth rules, written with Granite's four multipliers.

    With r = hidden_size / base_width: embedding x scale_emb, every block x scale_depth / sqrt(layers), logits / r,
    initial matrices of std init_std / sqrt(r), softmax scale 1/sqrt(head_dim) (arXiv 2404.06395, table 7).
    """
    if head_dim is None:
        if hidden_size % num_attention_heads:
            raise UserError(
                f"hidden_size: {hidden_size}; it must be a multiple of num_attention_heads ({num_attention_heads}) "
                "unless head_dim is given; correct one of them"
            )
        head_dim = hidden_size // num_attention_heads
    return ModelConfig(
        model_type="granite",
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=num_attention_heads,
        num_key_value_heads=num_key_value_heads,
        head_dim=head_dim,
        max_position_embeddings=max_position_embeddings,
        rope_theta=rope_theta,
        tie_word_embeddings=tie_word_embeddings,
        embedding_multiplier=scale_emb,
        residual_multiplier=scale_depth / num_hidden_layers**0.5,
        attention_multiplier=head_dim**-0.5,
        logits_scaling=hidden_size / base_width,
        initializer_range=init_std / (hidden_size / base_width) ** 0.5,
        bos_token_id=bos_token_id,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
    )
