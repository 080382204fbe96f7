"""Rotary position embedding, half-split as in Hugging Face (NeoX): pairs are (i, i + head_dim/2)."""

from __future__ import annotations

import math
from typing import Any

import torch

from dotori.errors import UserError
from dotori.model.config import ModelConfig


def inverse_frequencies(config: ModelConfig) -> torch.Tensor:
    """float32 (head_dim/2,), radians a position; raises UserError for a scaling we do not know."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    frequencies = 1.0 / config.rope_theta**half
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return frequencies
    if kind == "linear":
        return frequencies / float(scaling["factor"])
    if kind == "llama3":
        return _llama3(frequencies, scaling)
    raise UserError(f"rope_scaling: type {kind!r}; default, linear and llama3 are supported; use another checkpoint")


def _llama3(frequencies: torch.Tensor, scaling: dict[str, Any]) -> torch.Tensor:
    """Long waves are slowed by `factor`, short ones kept, those between blended."""
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = float(scaling["original_max_position_embeddings"])
    wavelengths = 2 * math.pi / frequencies
    smooth = ((original / wavelengths - low) / (high - low)).clamp(0, 1)
    return (1 - smooth) * frequencies / factor + smooth * frequencies


def rotation(frequencies: torch.Tensor, start: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of positions start .. start+length-1, each float32 (length, head_dim/2)."""
    positions = torch.arange(start, start + length, device=frequencies.device, dtype=torch.float32)
    angles = torch.outer(positions, frequencies)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x (B, T, heads, H) turned by cos, sin (T, H/2); computed in float32, returned in x's dtype."""
    a, b = x.float().chunk(2, dim=-1)
    c, s = cos[:, None, :], sin[:, None, :]  # (T, 1, H/2), over heads
    return torch.cat((torch.addcmul(a * c, b, s, value=-1), torch.addcmul(b * c, a, s)), dim=-1).to(x.dtype)
