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


# Scores of one layer and micro-batch (64 MB in bf16) up to which a CPU keeps them whole: two products and a softmax
# are 2 to 4 times as fast as the blockwise kernel on rows of 128 to 1,024 tokens (benchmarks/attention.py).
WHOLE_SCORES = 1 << 25


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, is_causal: bool, scale: float
) -> torch.Tensor:
    """softmax(scale q k^T) v of q (B, N, T, H), k and v (B, N, S, H), all of one dtype -> (B, N, T, H).

    mask bool, broadcastable to (B, 1, T, S): True where a token may look, at one place at least; None is causal, or for
    a single token everything. In bf16 whole scores are rounded to it before the softmax.
    """
    b, n, t, _ = q.shape
    if q.device.type != "cpu" or t == 1 or b * n * t * k.shape[2] > WHOLE_SCORES:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal, scale=scale)
    if mask is None:
        mask = torch.ones(t, t, dtype=torch.bool).tril()
    hidden = q.new_zeros(mask.shape).masked_fill_(~mask, float("-inf")).expand(b, n, t, k.shape[2])
    scores = torch.baddbmm(hidden.flatten(0, 1), q.flatten(0, 1), k.flatten(0, 1).mT, alpha=scale)
    return (scores.softmax(-1) @ v.flatten(0, 1)).unflatten(0, (b, n))


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
        both, v = self._project(x).split((self.heads + self.kv_heads, self.kv_heads), dim=2)  # (B, T, N + K|K, H)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = both.split((self.heads, self.kv_heads), dim=2)
            both = torch.cat((self.q_norm(q), self.k_norm(k)), dim=2)
        q, k = rotate(both, *rotation).split((self.heads, self.kv_heads), dim=2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # (B, heads, T, H)
        if cache is not None:
            k, v = cache.append(self.layer, k.to(cache.keys.dtype), v.to(cache.keys.dtype))
            q = q.to(k.dtype)
        if self.heads != self.kv_heads:
            k, v = (part.repeat_interleave(self.heads // self.kv_heads, dim=1) for part in (k, v))
        is_causal = mask is None and cache is None
        out = attend(q, k, v, mask, is_causal, self.scale)
        return self.o_proj(out.transpose(1, 2).reshape(b, t, self.heads * self.head_dim))

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, T, D) -> q, k and v behind each other (B, T, N + 2K, H)."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        bias = None if self.q_proj.bias is None else torch.cat([p.bias for p in projections])
        joined = F.linear(x, torch.cat([p.weight for p in projections]), bias)
        return joined.view(*x.shape[:2], -1, self.head_dim)
