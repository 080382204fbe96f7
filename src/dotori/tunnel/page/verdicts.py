"""What the figures decide, as pure functions of the chapters' JSON: the sentences and the charts follow these alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dotori.tunnel.noise import chance as seed_chance
from dotori.tunnel.page.words import bits, is_number, listing, numbers

# The rules of a wind tunnel: a rate transfers when its optimum stays within one doubling over all widths.
ONE_STEP = 1.0
MAIN, PLAIN = "mup", "standard"
# How fast repeated text wears out: the published constant, which the fits use too.
_R_STAR = 15.39

Drifted = Literal["transfers", "probably transfers", "unclear", "does not transfer"]
Ending = Literal["lower", "equal", "higher", "unknown"]


@dataclass(frozen=True)
class Drift:
    """The move of the best rate from the narrowest to the widest model, in doublings; `kind` is what it means.

    `spread`: the distance between the lowest and the highest of all widths' best rates, None where unknown.
    """

    steps: float
    low: float | None
    high: float | None
    spread: float | None
    kind: Drifted


def drift(variant: Mapping[str, Any]) -> Drift | None:
    """Beyond one step: does not transfer, unless no move at all lies in the interval. Within: transfers, as surely as
    interval, edges and spread allow.

    None where no drift was found.
    """
    steps = variant.get("drift_steps")
    if steps is None:
        return None
    low, high = variant.get("drift_interval") or (None, None)
    best = numbers(list((variant.get("optimum") or {}).values()))
    spread = math.log2(max(best) / min(best)) if best and min(best) > 0 else None
    kind: Drifted = "transfers"
    if abs(steps) > ONE_STEP:
        may_stay = low is not None and high is not None and low <= 0 <= high
        kind = "unclear" if may_stay else "does not transfer"
    elif low is None or high is None or any(edges(variant).values()) or (spread or 0.0) > 1.5 * ONE_STEP:
        kind = "unclear"
    elif low < -ONE_STEP or high > ONE_STEP:
        kind = "probably transfers" if low >= -2 * ONE_STEP and high <= 2 * ONE_STEP else "unclear"
    return Drift(steps, low, high, spread, kind)


def own_variant(transfer: Mapping[str, Any]) -> str:
    """The variant that the recommended rate comes from."""
    return transfer.get("own_variant") or MAIN


def chosen_rate(transfer: Mapping[str, Any]) -> tuple[str, float] | None:
    """(setting, value) of the rate that the chapter recommends: Muon's own is that of matrices."""
    chosen = transfer.get("chosen") or {}
    key = "matrix_lr" if own_variant(transfer) == "muon" else "lr"
    rate = chosen.get(key)
    return None if rate is None else (key, rate)


def edges(variant: Mapping[str, Any]) -> dict[str, bool]:
    """Width -> whether its best rate lies at the end of the rates tried (so that the true one may lie beyond)."""
    given = variant.get("is_edge") or {}
    found = {}
    for width, bowl in variant["bowls"].items():
        tried = sorted(float(rate) for rate, losses in bowl.items() if losses)
        best = (variant.get("optimum") or {}).get(width)
        at_end = bool(tried) and best is not None and not tried[0] * 1.001 < best < tried[-1] / 1.001
        is_edge = given.get(width)
        found[width] = at_end if is_edge is None else bool(is_edge)
    return found


def falls(variant: Mapping[str, Any], slope: Mapping[str, Any]) -> bool:
    """Whether what changes most in a check that passed gets smaller with the width: safe, and not of the same size."""
    return bool(slope["slope"] < 0 and variant.get("shrinks"))


def is_aside(name: str) -> bool:
    """Whether a variant tries one thing more (`mup, embedding lr / r`): nothing is expected of it."""
    return "," in name


def by_width(mapping: Mapping[str, Any]) -> list[tuple[float, Any]]:
    """(number, value) by rising number, of a JSON object whose keys are numbers."""
    return sorted(((float(key), value) for key, value in mapping.items()), key=lambda item: item[0])


def mean_bowl(bowl: Mapping[str, list[float | None]]) -> list[tuple[float, float]]:
    """(rate, mean over seeds), without rates at which any seed diverged."""
    rows = [(rate, losses) for rate, losses in by_width(bowl) if losses and len(numbers(losses)) == len(losses)]
    return [(rate, sum(losses) / len(losses)) for rate, losses in rows]


def chance(noise: float | None, runs: int = 1) -> float | None:
    """The difference that the means of `runs` runs each, of other seeds, stay within in 95 % of cases."""
    return None if noise is None else seed_chance(noise, runs)


def search_chance(search: Mapping[str, Any]) -> float | None:
    """The limit of chance between the default and the best of a search, which are means over fresh seeds."""
    return chance(search.get("noise"), search.get("repeats", 1))


@dataclass(frozen=True)
class Compared:
    """Trunk-and-decay against a cosine run of the same length: the difference in bits per byte."""

    tokens: float
    difference: float
    kind: Ending


def endings(schedules: Mapping[str, Any]) -> list[Compared]:
    """One comparison for each length that both schedules reached."""
    limit = chance(schedules.get("noise"))
    cosine = dict(by_width(schedules["cosine"]))
    found = []
    for tokens, value in by_width(schedules["wsd"]):
        other = cosine.get(tokens)
        if value is None or other is None:
            continue
        difference = value - other
        kind: Ending = "unknown" if limit is None else "lower" if difference < 0 else "higher"
        found.append(Compared(tokens, difference, "equal" if limit is not None and abs(difference) <= limit else kind))
    return found


def comparison(schedules: Mapping[str, Any]) -> str:
    """How decays from the trunk end against cosine runs of the same lengths, length by length; no full stop."""
    found = endings(schedules)
    if not found:
        return "No length was reached by both schedules"
    worst = max(abs(one.difference) for one in found)
    limit = chance(schedules.get("noise"))
    if limit is None:
        return (
            f"Decays from one trunk and cosine runs differ by up to {bits(worst)} bits per byte, and no seed was "
            "repeated, so they cannot be called equal"
        )
    tally = {kind: [one for one in found if one.kind == kind] for kind in ("lower", "equal", "higher")}
    if len(tally["equal"]) == len(found):
        return (
            f"Decays from one trunk end as low as separate cosine runs at all {len(found)} lengths: they differ by at "
            f"most {bits(worst)} bits per byte, and chance alone can make {bits(limit)}"
        )
    parts = []
    for kind, words in (("lower", "lower than"), ("equal", "as low as"), ("higher", "higher than")):
        if tally[kind]:
            size = max(abs(one.difference) for one in tally[kind])
            by = "" if kind == "equal" else f" (by up to {bits(size)} bits per byte)"
            parts.append(f"{words} a separate cosine run at {len(tally[kind])} of {len(found)} lengths{by}")
    return f"Decays from one trunk end {listing(parts)}; chance alone can make {bits(limit)}"


def near_best(values: Mapping[str, float | None], noise: float | None) -> tuple[str, list[str], float] | None:
    """(best key, keys that chance alone cannot tell from it, worst excess over it); None without values."""
    given = {key: value for key, value in values.items() if value is not None}
    if not given:
        return None
    best = min(given, key=lambda key: given[key])
    limit = chance(noise) or 0.0
    near = [key for key, value in given.items() if value - given[best] <= limit]
    return best, near, max(given.values()) - given[best]


@dataclass(frozen=True)
class Foretold:
    """A figure foretold with its 95 % interval, and what the run then measured (None: not run)."""

    language: str
    value: float
    low: float | None
    high: float | None
    measured: float | None

    @property
    def is_inside(self) -> bool | None:
        """Whether the measured figure lies in the interval; None where one of them is missing."""
        if self.measured is None or self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high


def foretold(ladder: Mapping[str, Any]) -> list[Foretold]:
    """One row per language of the prediction."""
    measured = (ladder.get("held_out") or {}).get("bits_per_byte") or {}
    return [
        Foretold(code, band["value"], band.get("low"), band.get("high"), measured.get(code))
        for code, band in (ladder.get("prediction") or {}).items()
        if isinstance(band, Mapping) and band.get("value") is not None
    ]


def law(fit: Mapping[str, float], n: float, d: float) -> float:
    """The fitted bits per byte of a model with `n` parameters after `d` tokens."""
    by_size, by_data, gamma = fit["a"] * n ** -fit["alpha"], fit["b"] * d ** -fit["beta"], fit["gamma"]
    return float(fit["e"] + (by_size ** (1 / gamma) + by_data ** (1 / gamma)) ** gamma)


def effective(tokens: float, unique: float | None) -> float:
    """Tokens as the fits count them: what is read again teaches less (Muennighoff et al., arXiv 2305.16264)."""
    if not unique or not 0 < unique < tokens:
        return tokens
    return unique + unique * _R_STAR * (1 - math.exp(-(tokens / unique - 1) / _R_STAR))


def steepest(variant: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """(layer, slope) of the layer whose activations change most with width; where the check failed, grow most."""
    slopes = {k: v for k, v in (variant.get("slopes") or {}).items() if v.get("slope") is not None}
    grown = {k: v for k, v in slopes.items() if v["slope"] > 0 and (v.get("low") is None or v["low"] > 0)}
    if variant.get("passed") is False and grown:
        slopes = grown
    return max(slopes.items(), key=lambda item: abs(item[1]["slope"])) if slopes else None


def tested_flops(ladder: Mapping[str, Any]) -> float:
    """The largest compute at which the law was compared with a run: the held-out one's, or the largest fitted."""
    told, top = ladder.get("prediction") or {}, largest(ladder)
    if foretold(ladder) and is_number(told.get("flops")) and any(o.measured is not None for o in foretold(ladder)):
        return float(told["flops"])
    return 6.0 * top["n"] * top["d"] if top is not None else 0.0


def largest(ladder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The point trained with most compute; the held-out run is not among the points."""
    return max(ladder["points"], key=lambda point: point["n"] * point["d"], default=None)
