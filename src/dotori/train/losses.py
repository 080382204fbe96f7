"""Cross-entropy of a linear head without the logits of the whole batch.

The logits of a batch are its largest tensor: 4096 tokens x 8192 words x 4 bytes = 134 MB, and autograd keeps several.
Here the head runs chunk by chunk, and since the loss is a sum whose gradient is known up to one factor, each chunk's
gradient is formed at once, in place of its logits; on a CPU a few rows at a time, while they lie in its cache.
"""

from __future__ import annotations

import torch
from torch.autograd.function import FunctionCtx

# Logits alive at a time: enough to keep the matrix products large.
CHUNK_ELEMENTS = 1 << 22
# Those that a CPU works on at a time, in float32.
_CACHED_ELEMENTS = 1 << 19
# A float32 probability below it has lost digits, or all of them, to underflow.
_LEAST_PROBABILITY = 1e-30


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, scale: float
    ) -> torch.Tensor:
        with_gradient = any(ctx.needs_input_grad[:2])  # type: ignore[attr-defined]
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        head = weight.to(dtype)  # (V, D)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.zeros_like(hidden) if with_gradient else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if with_gradient else None
        rows = max(64, CHUNK_ELEMENTS // weight.shape[0])
        for start in range(0, hidden.shape[0], rows):
            part, target = hidden[start : start + rows].to(dtype), targets[start : start + rows]
            logits = part @ head.t()  # (n, V)
            loss += _loss_and_gradient(logits, target, scale, with_gradient)
            if d_hidden is None or d_weight is None:
                continue
            counted = (target >= 0)[:, None]
            d_hidden[start : start + rows] = (logits @ head).float() * (counted * scale)
            part = part * counted
            if dtype == torch.float32:
                d_weight.addmm_(logits.t(), part, alpha=scale)
            else:
                d_weight.add_(logits.t() @ part, alpha=scale)
        if with_gradient:
            ctx.save_for_backward(d_hidden, d_weight)  # type: ignore[arg-type]
        return loss

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: torch.Tensor) -> tuple:
        d_hidden, d_weight = ctx.saved_tensors  # type: ignore[attr-defined]
        return d_hidden * grads[0].to(d_hidden.dtype), d_weight * grads[0], None, None


def _loss_and_gradient(logits: torch.Tensor, targets: torch.Tensor, scale: float, with_gradient: bool) -> torch.Tensor:
    """Sum of the losses of `scale * logits` (n, V), nats; leaves softmax minus one-hot in place of the logits.

    Rows without a target count nothing, but hold a gradient all the same.
    """
    loss = torch.zeros((), dtype=torch.float32, device=logits.device)
    rows = len(logits) if logits.device.type != "cpu" else max(16, _CACHED_ELEMENTS // logits.shape[1])
    for piece, target in zip(logits.split(rows), targets.split(rows), strict=True):
        scaled = piece.float() if scale == 1 else piece.float() * scale
        probability = scaled.softmax(1)
        index = target.clamp(min=0)[:, None]
        own = probability.gather(1, index)[:, 0]
        if logits.device.type == "cpu" and own.min() > _LEAST_PROBABILITY:  # two passes over the logits less
            each = -own.log()
        else:
            # log(sum(exp)) from the largest logit and its probability, which is never too small for its logarithm.
            each = scaled.amax(1) - probability.amax(1).log() - scaled.gather(1, index)[:, 0]
        loss += torch.where(target >= 0, each, 0.0).sum()
        if with_gradient:
            probability.scatter_add_(1, index, probability.new_full((1, 1), -1.0).expand_as(index))
            piece.copy_(probability)
    return loss


def linear_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, scale: float
) -> torch.Tensor:
    """Sum over tokens of -log softmax(scale * hidden @ weight.T)[target], in nats.

    hidden (N, D) float; weight (V, D) float32; targets (N,) int64, negative where nothing is learnt. The products run
    in the autocast dtype where autocast is on, softmax and sums in float32. Returns a float32 scalar.
    """
    if not torch.is_grad_enabled():  # within the function nothing tells
        hidden, weight = hidden.detach(), weight.detach()
    return _LinearCrossEntropy.apply(hidden, weight, targets, scale)
