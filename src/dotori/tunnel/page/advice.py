"""The table of recommended settings: each value, the chapter it comes from, and how sure the figures make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dotori.tunnel.page.verdicts import (
    PLAIN,
    chosen_rate,
    drift,
    edges,
    foretold,
    is_aside,
    near_best,
    own_variant,
    search_chance,
    tested_flops,
)
from dotori.tunnel.page.words import (
    between,
    bits,
    count,
    figure,
    form_name,
    language,
    listing,
    percent,
    setting_name,
    times,
    variant_name,
)

Chapter = Mapping[str, Any]
Sureness = Literal["sure", "fairly sure", "not sure"]
# The time for which a size is advised; the ladder's table has others.
_MINUTES = 60
# Tokens per parameter known within this factor choose a size well enough.
_NARROW = 3.0


@dataclass(frozen=True)
class Advice:
    """`setting` in words, its value, the chapter's anchor, and how sure with the reason."""

    setting: str
    value: str
    anchor: str
    sureness: Sureness
    reason: str


def advice(chapters: Mapping[str, Chapter]) -> list[Advice]:
    """What to use for a larger run, as far as the chapters that were run say it."""
    found: list[Advice] = []
    for name, rows in (
        ("check", _rules),
        ("transfer", _rate),
        ("search", _searched),
        ("batch", _batch),
        ("schedules", _schedules),
        ("ladder", _ladder),
    ):
        if chapter := chapters.get(name):
            found += rows(chapter, chapters)
    return found


def _rules(check: Chapter, chapters: Mapping[str, Chapter]) -> list[Advice]:
    on = {name: v for name, v in check["variants"].items() if not name.startswith(PLAIN) and not is_aside(name)}
    if not on:
        return []
    value = f"on, dim_model_base {base}" if (base := check.get("dim_model_base")) else "on"
    failed = [variant_name(name) for name, variant in on.items() if not variant.get("passed")]
    if failed:
        return [Advice("rules for width (muP)", value, "check", "not sure", f"signals change size: {listing(failed)}")]
    off = [v for name, v in check["variants"].items() if name.startswith(PLAIN)]
    reason = "signals do not grow with the rules"
    reason += ", and do without" if off and not any(v.get("passed") for v in off) else ""
    return [Advice("rules for width (muP)", value, "check", "sure", reason)]


def _rate(transfer: Chapter, chapters: Mapping[str, Chapter]) -> list[Advice]:
    chosen, variant = chosen_rate(transfer), transfer["variants"].get(own_variant(transfer))
    if chosen is None or variant is None:
        return []
    ladder = chapters.get("ladder") or {}
    paced, rates = (ladder.get("chosen") or {}).get(chosen[0]), ladder.get("rates") or {}
    advised = chosen[1] if paced is None else paced
    setting, rate = setting_name(chosen[0]), figure(advised)
    moved = drift(variant)
    if moved is None:
        return [Advice(setting, rate, "transfer", "not sure", "where it is best could not be found for every width")]
    reason = f"the best one moves {figure(moved.steps, 2)} doublings ({between(moved.low, moved.high)}) over all widths"
    if paced is not None and rates.get("factor", 1) != 1:
        reason += f"; {figure(rates['factor'])} of it was best after {count(rates['tokens'])} tokens"
    sureness: dict[str, Sureness] = {"transfers": "sure", "probably transfers": "fairly sure"}
    level = sureness.get(moved.kind, "not sure")
    if any(edges(variant).values()):
        level, reason = "not sure", reason + "; some lie at the end of the rates tried"
    other = (ladder.get("chosen") or transfer["chosen"]).get("lr") if chosen[0] == "matrix_lr" else None
    rest = f"kept at {figure(other / advised)} times that of the matrices, not compared by itself" if other else ""
    rows = [Advice("learning rate of all else", figure(other), "transfer", "not sure", rest)] if other else []
    return [Advice(setting, rate, "transfer", level, reason), *rows]


def _searched(search: Chapter, chapters: Mapping[str, Chapter]) -> list[Advice]:
    chosen = search.get("chosen") or {}
    transfer = chapters.get("transfer")
    decided = chosen_rate(transfer) if transfer else None
    best, default, limit = search.get("best_bits_per_byte"), search.get("default_bits_per_byte"), search_chance(search)
    level: Sureness = "not sure"
    if best is None or default is None or limit is None:
        reason = "no repeated seed says what chance does"
    elif search.get("is_better"):
        level = "sure" if default - best > 2 * limit else "fairly sure"
        reason = f"{bits(default - best)} bits per byte better than the default; chance alone can make {bits(limit)}"
    else:
        level, reason = "fairly sure", f"the default: no trial beat it by more than chance can make ({bits(limit)})"
    return [
        Advice(setting_name(key), figure(value), "search", level, reason)
        for key, value in chosen.items()
        if decided is None or key not in ("lr", "matrix_lr")
    ]


def _batch(batch: Chapter, chapters: Mapping[str, Chapter]) -> list[Advice]:
    chosen = batch.get("chosen_batch_tokens")
    if chosen is None:
        return []
    law = batch.get("law")
    if not law:
        reason = batch.get("why") or "no law could be fitted"
        return [Advice(setting_name("batch_tokens"), count(chosen), "batch", "not sure", reason)]
    low, high = law.get("b_interval") or (None, None)
    reason = f"exponent {figure(law['b'], 2)} ({between(low, high)}), R² {figure(law.get('r2'), 2)}"
    if told := [one.value for one in foretold(chapters.get("ladder") or {})]:
        aim = sum(told) / len(told)
        reason += (
            f"; at the {bits(aim)} bits per byte that the ladder foretells, it says {count(law['a'] / aim ** law['b'])}"
        )
    is_clear = low is not None and low > 0
    is_close = (law.get("r2") or 0.0) >= 0.8
    level: Sureness = "sure" if is_clear and is_close else "fairly sure" if is_clear else "not sure"
    return [Advice(setting_name("batch_tokens"), count(chosen), "batch", level, reason)]


def _schedules(schedules: Chapter, chapters: Mapping[str, Chapter]) -> list[Advice]:
    noise = schedules.get("noise")
    found = []
    share, form = schedules.get("best_share"), schedules.get("best_form")
    for setting, value, key in (
        ("length of the decay", None if share is None else f"last {percent(share)} of the run", "decay_lengths"),
        ("shape of the decay", None if form is None else form_name(form), "forms"),
    ):
        tried = {name: score for name, score in (schedules.get(key) or {}).items() if score is not None}
        best = near_best(tried, noise)
        if value is None or best is None:
            continue
        if noise is None:
            level, reason = "not sure", "no seed was repeated"
        elif len(tried) == 1:
            level, reason = "not sure", "nothing else came to an end"
        elif len(best[1]) == 1:
            level, reason = "sure", "lower than all others by more than chance can make"
        elif len(best[1]) == len(tried):
            level, reason = "not sure", f"none of the {len(tried)} tried is worse by more than chance can make"
        else:
            level = "fairly sure"
            reason = f"{len(best[1])} of the {len(tried)} tried are as good as far as chance tells"
        found.append(Advice(setting, value, "schedules", level, reason))  # type: ignore[arg-type]
    return found


def _ladder(ladder: Chapter, chapters: Mapping[str, Chapter]) -> list[Advice]:
    tests = {one.language: one.is_inside for one in foretold(ladder)}
    found = []
    for code, best in (ladder.get("optimal") or {}).items():
        if not best or not best.get("ratio"):
            continue
        low, high = best.get("low"), best.get("high")
        is_narrow = bool(low and high and high / low <= _NARROW)
        level: Sureness = "fairly sure" if is_narrow and tests.get(code) else "not sure"
        tested = {
            True: "the law foretold a larger run",
            False: "the law missed a larger run",
            None: "the law is untested",
        }
        reason = f"95 % interval {between(low, high)}; {tested[tests.get(code)]}"
        setting = f"tokens per parameter, {language(code)}"
        found.append(Advice(setting, figure(best["ratio"], 2), "ladder", level, reason))
    return [*found, *(_size(row, ladder) for row in ladder.get("budgets") or [] if row["minutes"] == _MINUTES)]


def _size(row: Mapping[str, Any], ladder: Chapter) -> Advice:
    held = [one.is_inside for one in foretold(ladder)]
    low, high = row["good_widths"]
    beyond = row["flops"] / max(tested_flops(ladder), 1.0)
    reason = f"{count(row['d'])} tokens; widths {low} to {high} are as good as far as the law tells"
    reason += f"; {times(beyond)} the compute that was tested" if beyond > 1.02 else ""
    is_near = bool(held) and all(held) and beyond <= _NARROW
    return Advice(
        "model for an hour on this machine",
        f"{row['width']} wide, {row['layers']} layers",
        "ladder",
        "fairly sure" if is_near else "not sure",
        reason,
    )
