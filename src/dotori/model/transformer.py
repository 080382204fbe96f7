"""The decoder. Parameter names are Hugging Face's: model.embed_tokens, model.layers.N..., model.norm, lm_head.

    x = embed(ids) * embedding_multiplier
    per layer: x += residual_multiplier * attention(norm(x));  x += residual_multiplier * mlp(norm(x))
    logits = head(norm(x)) / logits_scaling

A layer asks make_mlp for its feed-forward block and Transformer.hidden makes one mask for all layers: a mixture of
experts or a window pattern is one more file and one more branch in those two places.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from dotori.model.attention import Attention, cache_mask, document_mask
from dotori.model.config import ModelConfig
from dotori.model.kv_cache import KVCache
from dotori.model.mlp import GatedMLP
from dotori.model.norm import RMSNorm
from dotori.model.rope import inverse_frequencies, rotation


def make_mlp(config: ModelConfig) -> nn.Module:
    """The feed-forward block of a layer."""
    return GatedMLP(config)


class Layer(nn.Module):
    """One block of attention and one of feed-forward, each behind its norm and beside the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.residual_multiplier = config.residual_multiplier
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = make_mlp(config)

    def forward(
        self,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
        cache: KVCache | None,
    ) -> torch.Tensor:
        """x (B, T, D) -> (B, T, D)."""
        attended = self.self_attn(self.input_layernorm(x), rotation, mask, cache)
        x = x.add(attended, alpha=self.residual_multiplier)
        return x.add(self.mlp(self.post_attention_layernorm(x)), alpha=self.residual_multiplier)


class Decoder(nn.Module):
    """Everything below the head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Transformer(nn.Module):
    """A decoder with its head, in float32. Randomly initialised by init.init_weights, filled by checkpoint/."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = None
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_buffer("frequencies", inverse_frequencies(config), persistent=False)

    @property
    def output_weight(self) -> torch.Tensor:
        """The head's matrix (V, D), the embedding itself when tied."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def hidden(
        self, ids: torch.Tensor, documents: torch.Tensor | None = None, cache: KVCache | None = None
    ) -> torch.Tensor:
        """States after the final norm (B, T, D) of ids (B, T) int64.

        documents (B, T) int: attention stays within equal numbers; None: one document a row. With a cache, ids continue
        what it holds, and documents must be None.
        """
        past, tokens = (0 if cache is None else cache.length), ids.shape[1]
        if cache is not None:
            assert documents is None, "a cache holds one document a row"
            mask = cache_mask(past, tokens, ids.device)
        else:
            mask = None if documents is None else document_mask(documents)
        turn = rotation(self.frequencies, past, tokens)  # type: ignore[arg-type]
        x = self.model.embed_tokens(ids) * self.config.embedding_multiplier
        for layer in self.model.layers:
            x = layer(x, turn, mask, cache)
        if cache is not None:
            cache.advance(tokens)
        return self.model.norm(x)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """hidden (..., D) -> (..., V)."""
        return F.linear(hidden, self.output_weight) / self.config.logits_scaling

    def forward(
        self, ids: torch.Tensor, documents: torch.Tensor | None = None, cache: KVCache | None = None
    ) -> torch.Tensor:
        """ids (B, T) int64 -> logits (B, T, V)."""
        return self.logits(self.hidden(ids, documents, cache))
