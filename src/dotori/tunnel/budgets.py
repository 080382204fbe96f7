"""Which size to train, and on how many tokens, in a given time on this machine: the law, read with measured speeds.

At equal compute the law alone would choose; but small matrices run slower than large ones, so that the best size for
ten minutes is not the one for the FLOPs of ten minutes. The choice is among the ladder's shapes (n units wide, n
layers), by the mean of the languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dotori.model.count import flops_per_token
from dotori.tunnel.ground import Ground
from dotori.tunnel.power_law import Fit, effective_tokens, predict_band

MINUTES = (10.0, 60.0, 480.0)
_MOST_HEADS = 64


@dataclass(frozen=True)
class Size:
    """A model that could be trained: `n` as the law counts it, and the seconds of the whole machine for one token."""

    width: int
    layers: int
    n: float
    token_seconds: float


def best_size(
    sizes: Sequence[Size], fits: Mapping[str, Fit], seconds: float, unique: float, margin: float
) -> tuple[Size, list[Size]]:
    """The size of least foretold loss after `seconds` of training, and all that come within `margin` of it, itself too.

    `fits`: the law of each language, of which the mean counts. `unique`: tokens that can be read without repeating.
    """

    def loss(size: Size) -> float:
        tokens = float(effective_tokens(seconds / size.token_seconds, unique))
        return fmean(float(fit.predict(size.n, tokens)) for fit in fits.values())

    losses = {size: loss(size) for size in sizes}
    best = min(losses, key=lambda size: losses[size])
    return best, [size for size in sizes if losses[size] <= losses[best] + margin]


def what_to_train(
    ground: Ground, laws: Mapping[str, tuple[Fit, list[Fit]]], unique: float, noise: Mapping[str, float]
) -> list[dict[str, Any]]:
    """A row for each of MINUTES: the size, its tokens, the widths that are as good, and each language's foretold band.

    `laws`: fit and bootstrap fits by language. `noise`: spread between seeds, bits per byte; sizes whose foretold
    losses differ by less are as good.
    """
    sizes = [_size(ground, heads) for heads in range(1, _MOST_HEADS + 1)]
    fits = {language: fit for language, (fit, _) in laws.items()}
    rows = []
    for minutes in MINUTES:
        best, good = best_size(sizes, fits, 60 * minutes, unique, fmean(noise.values()))
        tokens = 60 * minutes / best.token_seconds
        seen = float(effective_tokens(tokens, unique))
        rows.append(
            {
                "minutes": minutes,
                "width": best.width,
                "layers": best.layers,
                "n": best.n,
                "d": round(tokens),
                "flops": 6 * best.n * tokens,
                "good_widths": [good[0].width, good[-1].width],
                "languages": {
                    language: predict_band(fit, draws, best.n, seen, noise[language])._asdict()
                    for language, (fit, draws) in laws.items()
                },
            }
        )
    return rows


def _size(ground: Ground, heads: int) -> Size:
    s, machine = ground.settings(heads, heads, 1, {}), ground.queue.machine
    flops = flops_per_token(ground.config(heads, heads), s.context) * s.batch_tokens
    # A run that has the machine to itself is as fast as all packed ones together, less what packing gains.
    share = machine.packing / machine.workers if machine.workers > 1 else 1.0
    seconds = share * machine.step_seconds(heads * ground.s.unit, flops) / s.batch_tokens
    return Size(heads * ground.s.unit, heads, ground.size(heads, heads), seconds)
