"""The gated feed-forward block: down(silu(gate(x)) * up(x))."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from dotori.model.config import ModelConfig


class GatedMLP(nn.Module):
    """gate and up are one matrix product: their weights are joined on the way in, so names stay Hugging Face's."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d, f = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(d, f, bias=False)
        self.up_proj = nn.Linear(d, f, bias=False)
        self.down_proj = nn.Linear(f, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, T, D) -> (B, T, D)."""
        joined = F.linear(x, torch.cat((self.gate_proj.weight, self.up_proj.weight)))  # (B, T, 2F)
        gate, up = joined.chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)
