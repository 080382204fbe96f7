"""How the next id is chosen from logits, written so that another runtime can repeat every draw.

The steps, in this order, on the float32 logits of one position:

1. repetition penalty r: each id seen before has its logit divided by r when positive, multiplied by r when negative
   (CTRL, https://arxiv.org/abs/1909.05858);
2. temperature 0: the largest logit, the smallest id among equals; nothing below happens;
3. ids sorted by logit, largest first, smaller id first among equals; logits converted to float64 and divided by the
   temperature; top-k keeps the first k; softmax over what is kept;
4. top-p keeps the shortest beginning whose probabilities sum to at least p (https://arxiv.org/abs/1904.09751);
5. min-p keeps probabilities of at least p times the first one (https://arxiv.org/abs/2407.01082);
6. with u = `uniform(seed, position)` the first id, in the order of 3, at which the running sum of the kept
   probabilities exceeds u times their total.

`position` is the index of the new token in the whole sequence, prompt included: a continued conversation repeats too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dotori.errors import UserError

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Sampling:
    """temperature 0 is greedy; top_k 0, top_p 1, min_p 0 and repetition_penalty 1 switch that step off."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            ("temperature", self.temperature, 0 <= self.temperature <= 100, "0 (greedy) to 100"),
            ("top_k", self.top_k, self.top_k >= 0, "0 (off) or more"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "above 0, at most 1 (off)"),
            ("min_p", self.min_p, 0 <= self.min_p <= 1, "0 (off) to 1"),
            ("repetition_penalty", self.repetition_penalty, 0 < self.repetition_penalty <= 100, "above 0, 1 is off"),
            ("seed", self.seed, 0 <= self.seed <= _MASK, "0 to 2^64 - 1"),
        )
        for name, value, holds, rule in rules:
            if not holds:
                raise UserError(f"{name}: {value}; {rule}; correct it")


def _mix(value: int) -> int:
    """SplitMix64's finalizer (https://doi.org/10.1145/2660193.2660195) on 64 bits."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, position: int) -> float:
    """The draw of `position` under `seed`, in [0, 1): 53 bits of mix(mix(seed + g) + (position + 1) g), modulo 2^64.

    mix is SplitMix64's finalizer, g = 0x9E3779B97F4A7C15.
    """
    return (_mix(_mix(seed + _GOLDEN) + (position + 1) * _GOLDEN) >> 11) * 2.0**-53


def distribution(logits: np.ndarray, sampling: Sampling, previous: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Steps 1 to 5 on float32 logits (V,): kept ids (n,) int64, best first, and their probabilities (n,) float64.

    Raises UserError for logits that are not numbers.
    """
    logits = _penalized(np.asarray(logits, np.float32), sampling.repetition_penalty, previous)
    if not np.isfinite(logits.max()):
        raise UserError("logits: not finite; the model's weights must give numbers; check the file or train it anew")
    if sampling.temperature == 0:
        return np.array([logits.argmax()]), np.ones(1)
    order = _descending(logits, sampling.top_k)
    scaled = logits[order].astype(np.float64) / sampling.temperature
    probabilities = np.exp(scaled - scaled[0])
    probabilities /= probabilities.sum()
    if sampling.top_p < 1:
        kept = int(np.searchsorted(np.cumsum(probabilities), sampling.top_p)) + 1
        order, probabilities = order[:kept], probabilities[:kept]
    if sampling.min_p > 0:
        kept = int((probabilities >= sampling.min_p * probabilities[0]).sum())
        order, probabilities = order[:kept], probabilities[:kept]
    return order, probabilities / probabilities.sum()


def _penalized(logits: np.ndarray, penalty: float, previous: Sequence[int]) -> np.ndarray:
    if penalty == 1 or not previous:
        return logits
    seen = np.unique(np.asarray(previous, np.int64))
    result = logits.copy()
    result[seen] = np.where(result[seen] > 0, result[seen] / penalty, result[seen] * penalty)
    return result


def _descending(logits: np.ndarray, top_k: int) -> np.ndarray:
    """Ids by falling logit, rising id among equals; the first `top_k` when that is not 0."""
    if 0 < top_k < len(logits):
        edge = np.partition(logits, len(logits) - top_k)[len(logits) - top_k]
        candidates = np.flatnonzero(logits >= edge)
        return candidates[np.argsort(-logits[candidates], kind="stable")][:top_k]
    return np.argsort(-logits, kind="stable")


def sample(logits: np.ndarray, sampling: Sampling, position: int, previous: Sequence[int]) -> int:
    """The id for index `position` of the sequence from float32 logits (V,); `previous` holds the ids before it."""
    ids, probabilities = distribution(logits, sampling, previous)
    running = np.cumsum(probabilities)
    place = np.searchsorted(running, uniform(sampling.seed, position) * running[-1], side="right")
    return int(ids[min(int(place), len(ids) - 1)])
