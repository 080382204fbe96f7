"""The key/value cache of one batch of sequences, allocated once."""

from __future__ import annotations

import torch

from dotori.errors import UserError
from dotori.model.config import ModelConfig


class KVCache:
    """Keys and values of all layers, each (L, B, K, capacity, H); `length` positions are filled."""

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        shape = (config.num_hidden_layers, batch, config.num_key_value_heads, capacity, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.capacity = capacity
        self.length = 0

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Stores keys, values (B, K, T, H) behind `length` and returns all so far (B, K, length + T, H).

        `length` itself moves once per forward pass, by advance(). Raises UserError when the cache is full.
        """
        end = self.length + keys.shape[2]
        if end > self.capacity:
            raise UserError(f"context: {end} tokens; the cache holds {self.capacity}; shorten the prompt or the answer")
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, tokens: int) -> None:
        """Counts `tokens` positions as filled in every layer."""
        self.length += tokens
