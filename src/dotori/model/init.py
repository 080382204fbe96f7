"""Initial weights after MiniCPM (arXiv 2404.06395, table 7), with two measured departures for very small models."""

from __future__ import annotations

import torch
from torch import nn

from dotori.model.transformer import Transformer


@torch.no_grad()
def init_weights(model: Transformer, generator: torch.Generator) -> None:
    """Fills `model` in place from `generator`, parameters in the order of their names.

    Matrices: normal with std config.initializer_range, which is init_std / sqrt(r) with r = hidden_size / base width,
    the logits_scaling of our own models; norms 1, biases 0. The embedding is a table of rows and keeps init_std at
    every width, as canonical muP has it: scaled like a matrix, the residual stream would shrink with the root of the
    width. The projections that write into the residual stream and an untied head begin at zero, so that the model
    begins as the uniform distribution and every block as the identity.
    """
    for name, parameter in sorted(model.named_parameters()):
        if parameter.ndim == 1:
            nn.init.ones_(parameter) if "norm" in name else nn.init.zeros_(parameter)
        elif name.endswith(("o_proj.weight", "down_proj.weight")) or name == "lm_head.weight":
            nn.init.zeros_(parameter)
        else:
            width_ratio = model.config.logits_scaling if name == "model.embed_tokens.weight" else 1.0
            nn.init.normal_(parameter, std=model.config.initializer_range * width_ratio**0.5, generator=generator)
