"""AdamW and Muon in one optimizer, with the learning-rate groups of muP.

Groups (arXiv 2404.06395, table 7; width ratio r = hidden_size / dim_model_base, which is 256 there). A model
carries its r as `logits_scaling`, so that one that is continued keeps the rule it began with; a plain Llama has 1:

    optimizer = "adamw"   matrices inside the layers: lr / r;   embedding, head, norms, biases: lr
    optimizer = "muon"    matrices inside the layers: Muon with matrix_lr;   all else: AdamW with lr

Muon (kellerjordan.github.io/posts/muon, 2024): Nesterov momentum, then the nearest semi-orthogonal matrix by a quintic
Newton-Schulz iteration, times sqrt(max(1, rows / columns)). Equal shapes are iterated as one batch. Its step has the
same spectral size at every width, so its rate needs no r.

The embedding is a table of rows, of which a step sees few, and its size is set by embedding_multiplier; it keeps lr, as
canonical muP has it and unlike the literal reading of the table, which `scale_embedding_lr` follows. `mup = false` is
r = 1 at every width. `independent_weight_decay` shrinks weights by schedule * weight_decay a step, whatever the rate
(Wortsman et al., arXiv 2309.14322).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dotori.train.settings import TrainSettings

NEWTON_SCHULZ_STEPS = 5
MUON_MOMENTUM = 0.95
# Minimises the spread of singular values after five steps while staying stable (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix inside a layer: neither embedding nor head."""
    return parameter.ndim == 2 and ".layers." in name


@torch.no_grad()
def orthogonalize(g: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Nearest semi-orthogonal matrices, singular values in about 0.7..1.2. g (n, rows, columns); returns float32."""
    x = g.to(dtype)
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if is_tall else x).float()


class MuonAdamW(torch.optim.Optimizer):
    """AdamW for groups of kind "adamw", Muon for groups of kind "muon"; state is one or two tensors per parameter."""

    def __init__(self, groups: list[dict[str, Any]], beta1: float, beta2: float, dtype: torch.dtype) -> None:
        super().__init__(
            groups, {"betas": (beta1, beta2), "eps": 1e-10, "weight_decay": 0.0, "lr": 0.0, "peak_lr": 0.0}
        )
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient, with each group's `lr`."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["kind"] == "muon":
                self._muon(parameters, group["lr"], group["weight_decay"])
            else:
                self._adamw(parameters, group)

    def _muon(self, parameters: list[torch.Tensor], lr: float, weight_decay: float) -> None:
        by_shape: dict[torch.Size, list[torch.Tensor]] = {}
        for p in parameters:
            by_shape.setdefault(p.shape, []).append(p)
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        for (rows, columns), same in by_shape.items():
            grads, momenta = _grads(same), [self.state[p]["momentum"] for p in same]
            torch._foreach_lerp_(momenta, grads, 1 - MUON_MOMENTUM)
            nesterov = torch.stack(torch._foreach_lerp(grads, momenta, MUON_MOMENTUM))
            update = orthogonalize(nesterov, self.dtype) * max(1.0, rows / columns) ** 0.5
            torch._foreach_mul_(same, 1 - lr * weight_decay)
            torch._foreach_add_(same, list(update.unbind(0)), alpha=-lr)

    def _adamw(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        for p in parameters:
            if not self.state[p]:
                zero = torch.zeros((), dtype=torch.float32, device=p.device)
                self.state[p] = {"step": zero, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        if not parameters:
            return
        states = [self.state[p] for p in parameters]
        beta1, beta2 = group["betas"]
        torch._foreach_add_([s["step"] for s in states], 1.0)
        torch._fused_adamw_(
            parameters,
            _grads(parameters),
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            [s["step"] for s in states],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )


def _grads(parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def make_optimizer(model: nn.Module, width_ratio: float, s: TrainSettings, dtype: torch.dtype) -> MuonAdamW:
    """The optimizer of a run with the settings `s`; `width_ratio` is r, `dtype` what Newton-Schulz computes in.

    Each group carries `peak_lr`; the loop sets `lr` = peak_lr * schedule. Weight decay falls on matrices alone.
    """
    matrices: list[nn.Parameter] = []
    tables: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_table = parameter.ndim == 2 and s.scale_embedding_lr
        (matrices if is_matrix(name, parameter) else tables if is_table else others).append(parameter)
    by_width = 1 / width_ratio if s.mup else 1.0
    peak = s.matrix_lr if s.optimizer == "muon" else s.lr * by_width
    # A step shrinks weights by lr * weight_decay: dividing by the peak leaves schedule * weight_decay.
    decay = s.weight_decay / peak if s.independent_weight_decay and peak else s.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": matrices, "kind": s.optimizer, "peak_lr": peak, "weight_decay": decay},
        {"params": others, "kind": "adamw", "peak_lr": s.lr, "weight_decay": 0.0},
    ]
    if tables:
        groups.append({"params": tables, "kind": "adamw", "peak_lr": s.lr * by_width, "weight_decay": 0.0})
    return MuonAdamW(groups, s.beta1, s.beta2, dtype)
