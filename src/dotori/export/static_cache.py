"""The decoder as a phone's engine wants it: one method, a key/value cache of fixed size inside, the last row's logits.

    forward(tokens int64 (1, T), start int64 (1,)) -> logits float32 (1, V)

`tokens` stand at positions start .. start+T-1; start 0 begins a new text, whatever the cache still holds. The weights
are those of a Transformer without multipliers (llama_form), and the results are its.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from dotori.model.mlp import GatedMLP
from dotori.model.norm import RMSNorm
from dotori.model.transformer import Layer, Transformer

# What a position out of sight gets; a true infinity would make a row of nothing but it a NaN.
_UNSEEN = -1e30


class Norm(nn.Module):
    """RMSNorm in arithmetic that XNNPACK takes whole: it has no mean over the last dimension, but products."""

    average: torch.Tensor

    def __init__(self, norm: RMSNorm) -> None:
        super().__init__()
        self.eps, self.weight = norm.eps, norm.weight
        size = norm.weight.shape[0]
        self.register_buffer("average", torch.full((size, 1), 1.0 / size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., size) -> (..., size)."""
        mean = (x * x) @ self.average
        return x * torch.rsqrt(mean + self.eps) * self.weight


class Block(nn.Module):
    """A layer of the Transformer with its cache; letters as in model/attention.py, C positions held."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: Layer, context: int) -> None:
        super().__init__()
        attention, mlp = layer.self_attn, layer.mlp
        assert isinstance(mlp, GatedMLP), "a dense block is needed"
        self.heads, self.kv_heads, self.head_dim = attention.heads, attention.kv_heads, attention.head_dim
        self.scale = attention.scale
        self.attention_norm, self.mlp_norm = Norm(layer.input_layernorm), Norm(layer.post_attention_layernorm)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (getattr(attention, f"{p}_proj") for p in "qkvo")
        self.q_norm = None if attention.q_norm is None else Norm(attention.q_norm)
        self.k_norm = None if attention.k_norm is None else Norm(attention.k_norm)
        self.gate_proj, self.up_proj, self.down_proj = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        # Keys stand as the product with the queries reads them: nothing of the cache is turned at a step.
        self.register_buffer("keys", torch.zeros(self.kv_heads, self.head_dim, context))
        self.register_buffer("values", torch.zeros(self.kv_heads, context, self.head_dim))

    def forward(
        self, x: torch.Tensor, positions: torch.Tensor, turn: tuple[torch.Tensor, ...], mask: torch.Tensor
    ) -> torch.Tensor:
        """x (T, D), positions (T,), turn as _turned wants it, mask (T, C) added to scores -> (T, D)."""
        x = x + self._attend(self.attention_norm(x), positions, turn, mask)
        h = self.mlp_norm(x)
        return x + self.down_proj(F.silu(self.gate_proj(h)) * self.up_proj(h))

    def _attend(
        self, x: torch.Tensor, positions: torch.Tensor, turn: tuple[torch.Tensor, ...], mask: torch.Tensor
    ) -> torch.Tensor:
        t, h, group = x.shape[0], self.head_dim, self.heads // self.kv_heads
        q = self.q_proj(x).view(t, self.heads, h)
        k = self.k_proj(x).view(t, self.kv_heads, h)
        v = self.v_proj(x).view(t, self.kv_heads, h)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = _turned(q, turn), _turned(k, turn)
        self.keys[:, :, positions] = k.permute(1, 2, 0).contiguous()
        self.values[:, positions] = v.transpose(0, 1).contiguous()
        # Query heads that share a key head stand below each other as rows, so that nothing is repeated.
        q = (q * self.scale).transpose(0, 1).contiguous().view(self.kv_heads, group * t, h)
        scores = torch.bmm(q, self.keys)
        weights = (scores.view(self.kv_heads, group, t, -1) + mask).softmax(dim=-1)
        out = torch.bmm(weights.view(self.kv_heads, group * t, -1), self.values)
        return self.o_proj(out.view(self.heads, t, h).transpose(0, 1).contiguous().view(t, self.heads * h))


class ByteTable(nn.Module):
    """An embedding in int8 with a scale for each row; a row is made float as it is looked up."""

    scales: torch.Tensor
    table: torch.Tensor

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        scales = table.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        self.register_buffer("scales", scales)
        self.register_buffer("table", (table / scales).round().to(torch.int8))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """ids (T,) -> (T, D)."""
        return self.table[ids].to(torch.float32) * self.scales[ids]


class StaticDecoder(nn.Module):
    """A Transformer's weights around caches of `context` positions."""

    cos: torch.Tensor
    sin: torch.Tensor
    quarter: torch.Tensor
    places: torch.Tensor

    def __init__(self, model: Transformer, context: int) -> None:
        super().__init__()
        c = model.config
        assert (c.embedding_multiplier, c.residual_multiplier, c.logits_scaling) == (1, 1, 1), "llama_form comes first"
        self.context = context
        self.embed: nn.Embedding | ByteTable = model.model.embed_tokens
        self.layers = nn.ModuleList(Block(cast(Layer, layer), context) for layer in model.model.layers)
        self.norm = Norm(model.model.norm)
        self.head = model.lm_head
        angles = torch.outer(torch.arange(context, dtype=torch.float32), cast(torch.Tensor, model.frequencies))
        self.register_buffer("cos", torch.cat((angles, angles), dim=1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat((angles, angles), dim=1).sin(), persistent=False)
        half = torch.eye(c.head_dim // 2)
        none = torch.zeros_like(half)
        self.register_buffer("quarter", torch.cat((torch.cat((none, half), 1), torch.cat((-half, none), 1))))
        self.register_buffer("places", torch.arange(context), persistent=False)

    def forward(self, tokens: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """tokens int64 (1, T) at positions from start int64 (1,) on -> logits (1, V) after the last of them."""
        t = tokens.shape[1]
        positions = torch.arange(t) + start
        turn = (self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1), self.quarter)
        unseen = self.places[None, :] > positions[:, None]
        mask = unseen.to(torch.float32) * _UNSEEN
        x = self.embed(tokens.view(t))
        for layer in self.layers:
            x = layer(x, positions, turn, mask)
        x = self.norm(x[-1:])
        if self.head is not None:
            return self.head(x)
        assert isinstance(self.embed, nn.Embedding), "a rounded table is no head"
        # The table from the left is the very tensor that the embedding reads, so the file holds it once.
        return (self.embed.weight @ x.transpose(0, 1)).transpose(0, 1)


def _turned(x: torch.Tensor, turn: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """RoPE of x (T, heads, H) by cos, sin (T, 1, H); (a, b) -> (-b, a) is a product with the third, which is exact."""
    cos, sin, quarter = turn
    return x * cos + (x @ quarter) * sin
