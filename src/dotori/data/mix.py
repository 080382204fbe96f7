"""Which row of which domain is sample number i: a pure function of (seed, i), in closed form.

Samples come in blocks of 1024. Weights become whole shares of a block, every block holds exactly these shares, and the
order inside it is a permutation keyed by (seed, phase, block). So the n-th row drawn from a domain is known without
drawing the ones before, resume cannot drift, and the mixture is exact in every block. A domain's rows are permuted anew
in every epoch, and none returns before the epoch ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from dotori.config import nearest
from dotori.errors import UserError

BLOCK = 1024
_ROUNDS = 4


class Phase(NamedTuple):
    """From sample `start` on: weights by domain, and which tokens of chat domains are learnt ("assistant" or "all")."""

    start: int
    weights: Mapping[str, float]
    loss_on: str = "assistant"


class Place(NamedTuple):
    """Sample i: row `row` of domain number `domain`, in the phase numbered `phase`."""

    domain: int
    row: int
    phase: int


def mix64(value: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on uint64 (Steele et al. 2014): every bit of the input moves half of the output's."""
    with np.errstate(over="ignore"):
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


def key_of(*parts: int) -> int:
    """One 64-bit key of several whole numbers."""
    key = np.zeros(1, dtype=np.uint64)
    for part in parts:
        key = mix64(key ^ np.array([part % 2**64], dtype=np.uint64))
    return int(key[0])


def permute(index: int, size: int, key: int) -> int:
    """The image of `index` under the permutation of range(size) that `key` chooses: a cycle-walking Feistel network."""
    if not 0 <= index < size:
        raise ValueError(f"index {index} outside of range({size})")
    half = max(1, (size - 1).bit_length() + 1 >> 1)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_scramble(right, key, number) & mask)
        index = left << half | right
        if index < size:
            return index


def _scramble(value: int, key: int, number: int) -> int:
    value = (value + key + number * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    value = (value ^ value >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return value ^ value >> 31


def shares(weights: Sequence[float]) -> list[int]:
    """Whole shares of a block for weights >= 0: at least one for each positive weight, largest remainders first."""
    total = sum(weights)
    exact = [weight / total * BLOCK for weight in weights]
    whole = [max(1, int(value)) if weight > 0 else 0 for weight, value in zip(weights, exact, strict=True)]
    order = sorted(range(len(exact)), key=lambda i: exact[i] - whole[i], reverse=True)
    missing = BLOCK - sum(whole)
    for i in [i for i in order if weights[i] > 0][: max(0, missing)]:
        whole[i] += 1
    for _ in range(max(0, -missing)):
        whole[whole.index(max(whole))] -= 1
    return whole


class Mixture:
    """Sample numbers to rows. `sizes`: rows of each domain by name, in a fixed order.

    Raises UserError for an unknown domain, an empty one with weight, or phases that are not in order from 0.
    """

    def __init__(self, seed: int, sizes: Mapping[str, int], phases: Sequence[Phase]) -> None:
        self.names, self.sizes, self.seed = list(sizes), list(sizes.values()), seed
        self.phases = list(phases) or [Phase(0, {name: max(size, 1) for name, size in sizes.items() if size})]
        self._starts = [phase.start for phase in self.phases]
        if self._starts[0] != 0 or self._starts != sorted(set(self._starts)):
            raise UserError(f"mixture: phases start at samples {self._starts}; they must rise from 0; correct them")
        for phase in self.phases:
            self._check(phase.weights)

    def _check(self, weights: Mapping[str, float]) -> None:
        for name, weight in weights.items():
            if name not in self.names:
                raise UserError(f"mixture: unknown domain {name!r}; {nearest(name, self.names)}")
            if weight > 0 and self.sizes[self.names.index(name)] == 0:
                raise UserError(f"mixture: domain {name!r} has weight {weight} but no row; give it more text or none")
        if not any(weight > 0 for weight in weights.values()) or min(weights.values()) < 0:
            raise UserError(f"mixture: weights {dict(weights)}; they must be >= 0 with a positive sum; correct them")

    @cached_property
    def _shares(self) -> list[list[int]]:
        return [shares([phase.weights.get(name, 0.0) for name in self.names]) for phase in self.phases]

    @cached_property
    def _drawn_before(self) -> list[list[int]]:
        """Rows drawn from each domain before each phase."""
        drawn = [[0] * len(self.names)]
        for number, (start, end) in enumerate(zip(self._starts, self._starts[1:], strict=False)):
            blocks, rest = divmod(end - start, BLOCK)
            partial = np.bincount(self._order(number, blocks)[:rest], minlength=len(self.names))
            shares = self._shares[number]
            drawn.append([n + blocks * s + int(p) for n, s, p in zip(drawn[-1], shares, partial, strict=True)])
        return drawn

    def _order(self, phase: int, block: int) -> np.ndarray:
        """The domain of each sample of a block, int64 (BLOCK,)."""
        return _order(tuple(self._shares[phase]), key_of(self.seed, 1, phase, block))

    def locate(self, sample: int) -> Place:
        """The place of sample number `sample` >= 0."""
        phase = bisect_right(self._starts, sample) - 1
        block, position = divmod(sample - self._starts[phase], BLOCK)
        order = self._order(phase, block)
        domain = int(order[position])
        drawn = self._drawn_before[phase][domain] + block * self._shares[phase][domain]
        drawn += int(np.count_nonzero(order[:position] == domain))
        epoch, row = divmod(drawn, self.sizes[domain])
        return Place(domain, permute(row, self.sizes[domain], key_of(self.seed, 2, domain, epoch)), phase)


@lru_cache(maxsize=64)
def _order(shares: tuple[int, ...], key: int) -> np.ndarray:
    domains = np.repeat(np.arange(len(shares)), shares)
    ranks = mix64(np.arange(BLOCK, dtype=np.uint64) ^ np.uint64(key))
    return domains[np.argsort(ranks, kind="stable")]
