"""Attention of a training step on a CPU: whole scores against PyTorch's blockwise kernel, in turns.

    python benchmarks/attention.py [--rounds 15]

Rows packed with two documents each, bf16, forward and backward. The limit is arithmetic: 12 * B * N * T^2 * H FLOPs,
masked half included, at what a large product of that type reaches; the share of it is told for both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from measure import median, write
from torch.nn import functional

from dotori.model.attention import WHOLE_SCORES, attend, document_mask
from dotori.train.allocator import keep_freed_memory
from dotori.train.speed import measured_peak

# Rows, heads, tokens, head width: the wind tunnel's, koen_cpu.toml's, and longer ones.
SHAPES = ((8, 6, 128, 24), (16, 4, 256, 64), (16, 8, 512, 64), (4, 8, 1024, 64))


def blockwise(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, scale: float) -> torch.Tensor:
    """PyTorch's own."""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def whole(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, scale: float) -> torch.Tensor:
    """Ours."""
    return attend(q, k, v, mask, False, scale)


def timed(way: Callable[..., torch.Tensor], parts: list[torch.Tensor], mask: torch.Tensor) -> float:
    """Milliseconds of one forward and backward pass."""
    started = time.perf_counter()
    out = way(*parts, mask, parts[0].shape[-1] ** -0.5)
    out.backward(torch.ones_like(out))
    for part in parts:
        part.grad = None
    return 1000 * (time.perf_counter() - started)


def compared(shape: tuple[int, int, int, int], rounds: int, peak: float) -> dict:
    """Both ways in turns on one shape."""
    b, n, t, h = shape
    generator = torch.Generator().manual_seed(1)
    # As a projection gives them: heads beside each other, seen transposed.
    parts = [torch.randn(b, t, n, h, generator=generator).bfloat16().transpose(1, 2) for _ in range(3)]
    parts = [part.detach().requires_grad_() for part in parts]
    ends = torch.randint(1, t, (b, 1), generator=generator)
    mask = document_mask((torch.arange(t)[None] >= ends).int())
    assert b * n * t * t <= WHOLE_SCORES
    found: dict[str, list[float]] = {"blockwise": [], "whole": []}
    for _ in range(rounds + 2):
        for name, way in (("blockwise", blockwise), ("whole", whole)):
            found[name].append(timed(way, parts, mask))
    ms = {name: median(times[2:]) for name, times in found.items()}
    least = 1000 * 12 * b * n * t * t * h / peak
    return {
        "rows": b,
        "heads": n,
        "tokens": t,
        "head_dim": h,
        "milliseconds": {name: round(value, 2) for name, value in ms.items()},
        "share_of_peak": {name: round(least / value, 3) for name, value in ms.items()},
        "ratio": round(ms["blockwise"] / ms["whole"], 2),
    }


def main() -> None:
    """Measures and writes results/attention.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    keep_freed_memory()
    peak = measured_peak(torch.device("cpu"), torch.bfloat16)
    rows = [compared(shape, options.rounds, peak) for shape in SHAPES]
    write("attention", {"peak_flops": round(peak), "shapes": rows})


if __name__ == "__main__":
    main()
