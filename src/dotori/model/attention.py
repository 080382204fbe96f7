"""Grouped-query attention with RoPE, over packed documents or a cache.

Letters: B batch, T tokens, D hidden, N query heads, K key/value heads, H head_dim.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from dotori.model.config import ModelConfig
from dotori.model.kv_cache import KVCache
from dotori.model.norm import RMSNorm
from dotori.model.rope import rotate


def document_mask(documents: torch.Tensor) -> torch.Tensor:
    """documents (B, T) -> bool (B, 1, T, T): True where a token may look, back within its own document."""
    t = documents.shape[1]
    same = documents[:, :, None] == documents[:, None, :]
    return (same & torch.ones(t, t, dtype=torch.bool, device=documents.device).tril())[:, None]


def cache_mask(past: int, tokens: int, device: torch.device) -> torch.Tensor | None:
    """bool (tokens, past + tokens) for new tokens behind `past` cached ones; None where every one may be seen."""
    if tokens == 1:
        return None
    return torch.ones(tokens, past + tokens, dtype=torch.bool, device=device).tril(past)


class Attention(nn.Module):
    """q, k and v are one matrix product: their weights are joined on the way in, so names stay Hugging Face's."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        d, h = config.hidden_size, config.head_dim
        self.heads, self.kv_heads, self.head_dim = config.num_attention_heads, config.num_key_value_heads, h
        self.scale, self.layer = config.softmax_scale, layer
        self.q_proj = nn.Linear(d, self.heads * h, bias=config.attention_bias)
        self.k_proj = nn.Linear(d, self.kv_heads * h, bias=config.attention_bias)
        self.v_proj = nn.Linear(d, self.kv_heads * h, bias=config.attention_bias)
        self.o_proj = nn.Linear(self.heads * h, d, bias=False)
        self.q_norm = RMSNorm(h, config.rms_norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(h, config.rms_norm_eps) if config.qk_norm else None

    def forward(
        self,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
        cache: KVCache | None,
    ) -> torch.Tensor:
        """x (B, T, D) -> (B, T, D). mask None: causal without a cache, everything cached with one."""
        b, t, _ = x.shape
        q, k, v = self._project(x)  # (B, T, N|K|K, H)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q, *rotation), rotate(k, *rotation)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # (B, heads, T, H)
        if cache is not None:
            k, v = cache.append(self.layer, k.to(cache.keys.dtype), v.to(cache.keys.dtype))
            q = q.to(k.dtype)
        if self.heads != self.kv_heads:
            k, v = (part.repeat_interleave(self.heads // self.kv_heads, dim=1) for part in (k, v))
        is_causal = mask is None and cache is None
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal, scale=self.scale)
        return self.o_proj(out.transpose(1, 2).reshape(b, t, self.heads * self.head_dim))

    def _project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        projections = (self.q_proj, self.k_proj, self.v_proj)
        bias = None if self.q_proj.bias is None else torch.cat([p.bias for p in projections])
        joined = F.linear(x, torch.cat([p.weight for p in projections]), bias)
        joined = joined.view(*x.shape[:2], -1, self.head_dim)  # (B, T, N + 2K, H)
        q, k, v = joined.split((self.heads, self.kv_heads, self.kv_heads), dim=2)
        return q, k, v
