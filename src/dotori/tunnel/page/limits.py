"""What a tunnel of this scale cannot support, told by its own figures: edges, single seeds, wide intervals, reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dotori.tunnel.page.verdicts import by_width, chance, edges, endings, largest
from dotori.tunnel.page.words import (
    between,
    bits,
    count,
    figure,
    flops,
    is_number,
    language,
    listing,
    plural,
    times,
    variant_name,
)

Chapter = Mapping[str, Any]
# Below that share of explained variance a law of two constants says little.
_LOW_R2 = 0.8
# An interval of tokens per parameter that spans more than this factor does not choose a model's size.
_WIDE = 3.0
# A model that people would think of when they read the law.
_IMAGINED = 1e9


def limits(chapters: Mapping[str, Chapter]) -> list[str]:
    """One sentence for each thing that the chapters' figures do not support."""
    found: list[str] = []
    for name, sentences in (
        ("check", _check),
        ("search", _search),
        ("transfer", _transfer),
        ("batch", _batch),
        ("schedules", _schedules),
        ("ladder", _ladder),
    ):
        if chapter := chapters.get(name):
            found += sentences(chapter)
    return found


def _check(check: Chapter) -> list[str]:
    steps = check.get("steps")
    if not steps:
        return []
    return [
        f"The check of signal sizes looks at the first {plural(steps, 'step')} only; what grows slowly later it "
        "cannot see."
    ]


def _search(search: Chapter) -> list[str]:
    chosen, trials = search.get("chosen") or {}, search["trials"]
    at_edge = []
    for key, value in chosen.items():
        tried = [trial["params"][key] for trial in trials if is_number(trial["params"].get(key))]
        if is_number(value) and len(set(tried)) > 2 and value in (min(tried), max(tried)):
            at_edge.append(f"{key} = {figure(value)}")
    found = []
    if at_edge:
        found.append(f"The search chose the end of what it tried for {listing(at_edge)}; better may lie beyond.")
    if search.get("noise") is None:
        found.append("The search repeated no seed: a small lead of its best trial may be chance.")
    return found


def _transfer(transfer: Chapter) -> list[str]:
    found = []
    for name, variant in transfer["variants"].items():
        if wide := [f"{float(width):g}" for width, is_edge in edges(variant).items() if is_edge]:
            found.append(
                f"{variant_name(name)}: the best rate at width {listing(wide)} lies at the end of the rates tried; "
                "the true one may lie beyond, and the drift may be larger than stated."
            )
    seeds = [len(ls) for v in transfer["variants"].values() for b in v["bowls"].values() for ls in b.values() if ls]
    if seeds and max(seeds) == 1:
        spread = transfer.get("noise")
        how = "nothing" if spread is None else f"a noise of {figure(spread, 2)} bits per byte taken from elsewhere"
        found.append(f"Every learning rate was run with one seed only; the intervals rest on {how}.")
    widths = [w for v in transfer["variants"].values() for w, _ in by_width(v["bowls"])]
    if widths:
        found.append(
            f"Learning rates were compared from width {min(widths):g} to {max(widths):g}; models in use are 1024 to "
            f"8192 wide, {between(1024 / max(widths), 8192 / max(widths))} times as wide as the widest here."
        )
    return found


def _batch(batch: Chapter) -> list[str]:
    found = []
    law = batch.get("law")
    if law and law.get("r2") is not None and law["r2"] < _LOW_R2:
        found.append(f"The batch law explains the minima badly (R² {figure(law['r2'], 2)}); use it as a hint only.")
    minima = batch.get("minima") or []
    at_edge = sum(bool(m.get("is_edge")) for m in minima)
    if at_edge:
        found.append(
            f"{at_edge} of {len(minima)} best batches {'lies' if at_edge == 1 else 'lie'} at the end of those tried; "
            "the true best may lie beyond."
        )
    if minima:
        losses = [m["loss"] for m in minima]
        found.append(
            f"The batch law was seen for losses from {bits(min(losses))} to {bits(max(losses))} bits per byte on "
            "this text; on other text its constants mean little."
        )
    return found


def _schedules(schedules: Chapter) -> list[str]:
    found = []
    if schedules.get("noise") is None:
        found.append("Schedules were compared without repeating a seed: small differences may be chance.")
    elif (limit := chance(schedules["noise"])) is not None:
        found.append(
            f"Differences between schedules below {bits(limit)} bits per byte cannot be told from chance here."
        )
    if compared := endings(schedules):
        longest = max(one.tokens for one in compared)
        found.append(f"The longest schedule read {count(longest)} tokens; a long run may favour another decay.")
    return found


def _ladder(ladder: Chapter) -> list[str]:
    found = []
    top = largest(ladder)
    if top is not None:
        biggest = max(point["n"] for point in ladder["points"])
        found.append(
            f"The largest model of the fit has {count(biggest)} parameters as the law counts them (compute a token, "
            f"head and attention included); one with 1 billion is {times(_IMAGINED / biggest)} as large, and no figure "
            "here was measured near it."
        )
    prediction = ladder.get("prediction") or {}
    more = prediction.get("times_largest")
    if not (ladder.get("held_out") or {}).get("bits_per_byte"):
        found.append("No run outside the fit has tested the law; what it says of larger models is a guess.")
    elif is_number(more):
        found.append(f"The law was tested once, at {times(more)} the compute of the largest run fitted, not beyond.")
    for code, best in (ladder.get("optimal") or {}).items():
        low, high = (best or {}).get("low"), (best or {}).get("high")
        if low and high and high / low > _WIDE:
            found.append(
                f"{language(code)}: tokens per parameter are known within {between(low, high)} only, a factor of "
                f"{figure(high / low, 2)}; the figure does not settle how large a model should be."
            )
    if top is not None:
        seen = 6 * top["n"] * top["d"]
        far = [b["flops"] / seen for b in (ladder.get("optimal") or {}).values() if b and b.get("flops")]
        if far and max(far) > 1.5:
            found.append(
                f"The best split is given for {times(max(far))} the compute of the largest run ({flops(seen)} FLOP): "
                "an extrapolation."
            )
    repeated = [p["d"] / p["tokens_unique"] for p in ladder["points"] if p.get("tokens_unique")]
    again = [share for share in repeated if share > 1.001]
    if again:
        found.append(
            f"{plural(len(again), 'run')} of the ladder read the text more than once (up to {times(max(again))}); "
            "repeated text teaches less, and the correction for it is borrowed from other work."
        )
    return found
