"""The coordinate check: do activations keep their size when the model gets wider?

A few steps at several widths; the mean |activation| of every part of the model after them, against the width, in
logarithms. Under the width rules of muP the slope is about 0 (Tensor Programs V, arXiv 2203.03466, appendix D.1); the
same learning rate then means the same change at every width. Models are tied and, from two heads on, grouped-query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from dotori.data.loader import Loader
from dotori.data.mix import Phase
from dotori.errors import Interrupted
from dotori.model.init import init_weights
from dotori.model.transformer import Layer, Transformer
from dotori.train.allocator import keep_freed_memory
from dotori.train.objective import IGNORED, Batch
from dotori.train.optim import make_optimizer
from dotori.train.settings import ModelSettings, TrainSettings
from dotori.tunnel.ground import Ground

VARIANTS: dict[str, dict[str, Any]] = {
    "mup adamw": {"optimizer": "adamw", "mup": True},
    "standard adamw": {"optimizer": "adamw", "mup": False},
    "mup adamw, embedding lr / r": {"optimizer": "adamw", "mup": True, "scale_embedding_lr": True},
    "mup muon": {"optimizer": "muon", "mup": True},
}
HEAD_DIM, LAYERS, ROWS, SEEDS = 32, 2, 4, 2
# A slope below this changes activations by less than a half over a 16-fold range of widths.
FLAT = 0.15
# The base rates over this: small enough that a few steps stay where activations follow the rates, without a warm-up.
_SLOWER = 10.0
# 97.5th percentile of Student's t for few degrees of freedom, from 1 on.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)

Rows = Callable[[int], Batch]


def coordinate_check(ground: Ground) -> dict[str, Any]:
    """Measures all variants and returns the chapter."""
    s, data = ground.s, ground.queue.data
    weights = s.train.phases[0].weights if s.train.phases else None
    loader = Loader(data, s.train.context, s.train.seed, [Phase(0, weights)] if weights else ())

    def rows(step: int) -> Batch:
        return Batch(*(torch.from_numpy(array) for array in loader.rows(step * ROWS, ROWS)))

    rates = {"lr": s.train.lr / _SLOWER, "matrix_lr": s.train.matrix_lr / _SLOWER}
    variants, total = {}, len(VARIANTS) * len(s.check_widths)
    with ground.log.progress("check", total, "models") as meter:
        for name, changed in VARIANTS.items():
            found: dict[int, list[dict[str, list[float]]]] = {}
            for width in s.check_widths:
                if reason := ground.queue.stop():
                    raise Interrupted(f"check: {reason}; this chapter begins anew; run the same command to continue")
                given = replace(s.train, model=_shape(width), **(changed | rates))
                found[width] = [
                    activations(given, ground.queue.vocab_size, s.check_steps, rows, seed) for seed in range(SEEDS)
                ]
                meter.advance(1, f"{name}, width {width}")
            variants[name] = judged(found)
    chapter = {"widths": list(s.check_widths), "steps": s.check_steps, "variants": variants}
    chapter["dim_model_base"] = s.train.dim_model_base
    chapter["passed"] = all(variants[name]["passed"] for name in VARIANTS if name in ("mup adamw", "mup muon"))
    return ground.save("check", chapter, [], {})


def _shape(width: int) -> ModelSettings:
    heads = max(1, width // HEAD_DIM)
    return ModelSettings(
        hidden_size=width,
        num_hidden_layers=LAYERS,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2 if heads % 2 == 0 else heads,
    )


def activations(s: TrainSettings, vocab_size: int, steps: int, rows: Rows, seed: int) -> dict[str, list[float]]:
    """Mean |x| of each part's output, by step: entry k is what the model gives after k updates."""
    keep_freed_memory()
    assert s.model is not None
    config = s.model.config(vocab_size, s.context, (0, 1, 2), s.base_width)
    model = Transformer(config)
    init_weights(model, torch.Generator().manual_seed(seed))
    optimizer = make_optimizer(model, config.logits_scaling, s, torch.float32)
    seen: dict[str, list[float]] = {}

    def watch(name: str) -> Callable[..., None]:
        return lambda module, given, out: seen.setdefault(name, []).append(out.detach().abs().mean().item())

    for number, layer in enumerate(model.model.layers):
        assert isinstance(layer, Layer)
        layer.self_attn.register_forward_hook(watch(f"layer {number} attention"))
        layer.mlp.register_forward_hook(watch(f"layer {number} mlp"))
        layer.register_forward_hook(watch(f"layer {number} residual stream"))
    for step in range(steps + 1):
        batch = rows(step)
        logits = model(batch.ids, batch.documents)  # (B, T, V)
        seen.setdefault("logits", []).append(logits.detach().abs().mean().item())
        F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED).backward()
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return seen


def judged(found: dict[int, list[dict[str, list[float]]]]) -> dict[str, Any]:
    """{width: [activations of each seed]} -> mean activations, slopes with 95 % intervals, and the verdict.

    It passes when nothing grows with the width. `shrinks` names what gets smaller: safe, but the rate could be higher.
    """
    slopes = {part: slope(found, part) for part in found[min(found)][0]}
    means = {
        part: {str(width): np.mean([seed[part] for seed in seeds], axis=0).tolist() for width, seeds in found.items()}
        for part in slopes
    }
    passed = all(row["slope"] <= FLAT or row["low"] <= 0 for row in slopes.values())
    shrinks = [part for part, row in slopes.items() if row["high"] < -FLAT]
    return {"activations": means, "slopes": slopes, "passed": passed, "shrinks": shrinks}


def slope(found: dict[int, list[dict[str, list[float]]]], part: str) -> dict[str, float]:
    """d log(mean |x|) / d log(width) after the last step, over widths and seeds, with a 95 % interval."""
    x = np.log([width for width, seeds in found.items() for _ in seeds])
    y = np.log([max(seed[part][-1], 1e-30) for seeds in found.values() for seed in seeds])
    centred = x - x.mean()
    value = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - value * centred
    degrees = len(x) - 2
    error = float(np.sqrt(rest @ rest / degrees / (centred @ centred)))
    wide = error * (_T[degrees - 1] if degrees <= len(_T) else 2.0)
    return {"slope": value, "low": value - wide, "high": value + wide}
