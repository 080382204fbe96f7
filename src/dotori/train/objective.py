"""Objectives: what a step of training minimises.

An objective is `(model, batch) -> (loss_sum, weight, metrics)`, sums over the micro-batch, never means. The loop
divides by the weight summed over all micro-batches, so neither accumulation nor data parallelism changes a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from dotori.model.transformer import Transformer
from dotori.train.losses import linear_cross_entropy

IGNORED = -100


class Batch(NamedTuple):
    """Rows on the device. ids, targets (B, T) int64, targets -100 where nothing is learnt; documents (B, T) int32."""

    ids: torch.Tensor
    targets: torch.Tensor
    documents: torch.Tensor


Objective = Callable[[Transformer, Batch], tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]]


def next_token(model: Transformer, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy of each target given its document so far, in nats, summed; the weight is the number of targets."""
    hidden = model.hidden(batch.ids, batch.documents)  # (B, T, D)
    targets = batch.targets.flatten()  # (B*T,)
    loss_sum = linear_cross_entropy(hidden.flatten(0, 1), model.output_weight, targets, 1 / model.config.logits_scaling)
    return loss_sum, (targets != IGNORED).sum(), {}
