"""What the chapters found, one plain sentence each, with figures, uncertainty and the runs behind it.

Every sentence follows from the figures of the chapter's JSON alone: other figures give another sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dotori.tunnel.page.verdicts import (
    MAIN,
    PLAIN,
    Drift,
    by_width,
    chance,
    comparison,
    drift,
    endings,
    falls,
    foretold,
    is_aside,
    near_best,
    own_variant,
    search_chance,
    steepest,
)
from dotori.tunnel.page.words import (
    between,
    bits,
    count,
    figure,
    flops,
    form_name,
    is_number,
    language,
    listing,
    percent,
    plural,
    setting_name,
    times,
    variant_name,
)

Chapter = Mapping[str, Any]
Mood = str  # "good": as expected; "bad": not so; "open": the figures do not decide


@dataclass(frozen=True)
class Finding:
    """One sentence; `anchor` is the chapter it comes from, `evidence` the ids of its runs, `short` a clause of it."""

    text: str
    anchor: str
    evidence: tuple[str, ...] = ()
    mood: Mood = "open"
    short: str = ""


def findings(chapters: Mapping[str, Chapter]) -> list[Finding]:
    """The findings of the chapters that are there, in the order of the chapters."""
    found = []
    for name, sentences in _CHAPTERS.items():
        if chapter := chapters.get(name):
            evidence = tuple(chapter.get("evidence") or ())
            found += [Finding(text, name, evidence, mood, short) for text, mood, short in sentences(chapter)]
    return found


def verdict(chapters: Mapping[str, Chapter]) -> str:
    """One sentence on the whole, from the first finding of each chapter that has a clause."""
    clauses: dict[str, str] = {}
    for finding in findings(chapters):
        if finding.short and finding.anchor in ("transfer", "schedules", "ladder"):
            clauses.setdefault(finding.anchor, finding.short)
    if not clauses:
        return "Too little has been run here to say anything about larger models."
    text = listing(list(clauses.values()))
    return f"On these small models, {text}."


_Sentences = list[tuple[str, Mood, str]]


def _check(check: Chapter) -> _Sentences:
    found: _Sentences = []
    for name, variant in check["variants"].items():
        steep = steepest(variant)
        if steep is None:
            continue
        layer, slope = steep
        power = f"width to the power {figure(slope['slope'], 2)}"
        power += f" (95 % interval {between(slope.get('low'), slope.get('high'))})"
        is_on, passed = not name.startswith(PLAIN), bool(variant.get("passed"))
        start = f"{variant_name(name)}: signals inside the model"
        if passed:
            stay = "do not grow" if falls(variant, slope) else "keep their size"
            text = f"{start} {stay} as it gets wider; the layer that changes most, {layer}, follows {power}."
        else:
            text = f"{start} change their size with its width; {layer} follows {power}."
        found.append((text, "good" if passed == is_on else "open" if is_aside(name) else "bad", ""))
    return found


def _search(search: Chapter) -> _Sentences:
    trials = plural(len(search["trials"]), "trial")
    best, default = search.get("best_bits_per_byte"), search.get("default_bits_per_byte")
    limit = search_chance(search)
    chance_words = "chance is unknown" if limit is None else f"chance alone can make {bits(limit)}"
    found: _Sentences = []
    if best is not None and default is not None:
        figures = f"{bits(best)} bits per byte against {bits(default)} of the defaults, and {chance_words}"
        if search.get("is_better"):
            found.append((f"A search of {trials} found better settings: {figures}.", "good", ""))
        else:
            text = f"A search of {trials} found nothing surely better than the defaults: the best had {figures}."
            found.append((text, "open", ""))
    shares = {key: share for key, share in (search.get("importance") or {}).items() if share is not None}
    if shares:
        first = max(shares, key=lambda key: shares[key])
        text = f"Of what was searched, the {setting_name(first)} mattered most: "
        found.append((f"{text}{percent(shares[first])} of the differences between trials.", "open", ""))
    return found


def _moved(one: Drift) -> str:
    direction = "up" if one.steps > 0 else "down"
    text = f"{figure(abs(one.steps), 2)} doublings {direction}"
    if one.low is None or one.high is None:
        return f"{text} (interval unknown)"
    return f"{text} (95 % interval {between(one.low, one.high)})"


def _transfer(transfer: Chapter) -> _Sentences:
    variants, own = transfer["variants"], own_variant(transfer)
    found: _Sentences = []
    for name in sorted(variants, key=lambda key: (key != own, key != MAIN, key != PLAIN)):
        one = drift(variants[name])
        if one is None:
            continue
        widths = [width for width, _ in by_width(variants[name]["bowls"])]
        reach = f"from width {widths[0]:g} to {widths[-1]:g} the best rate moves {_moved(one)}"
        span = f"widths {widths[0]:g} to {widths[-1]:g}"
        start = variant_name(name)
        if one.kind == "transfers":
            text = f"{start}: the learning rate transfers; {reach}, within one doubling."
            short = f"one learning rate serves {span}"
        elif one.kind == "probably transfers":
            text = f"{start}: the learning rate probably transfers; {reach}, so more than one doubling is possible."
            short = f"one learning rate probably serves {span}"
        elif one.kind == "does not transfer":
            factor = 2 ** abs(one.steps)
            text = (
                f"{start}: the learning rate does not transfer; {reach}, so the narrow model's rate would be "
                f"{times(factor)} too {'high' if one.steps < 0 else 'low'} for the wide one."
            )
            short = f"the best learning rate changes {figure(factor, 2)}-fold over {span}"
        else:
            wide = f"; among all widths the best rates differ by {figure(one.spread, 2)}" if one.spread else ""
            text = f"{start}: whether the learning rate transfers stays open; {reach}{wide}, and it could be more."
            short = f"it stays open whether one learning rate serves {span}"
        as_hoped = one.kind == "transfers" or (name == PLAIN and one.kind == "does not transfer")
        as_hoped |= one.kind == "probably transfers"
        mood = "good" if as_hoped else "bad" if one.kind == "does not transfer" and not is_aside(name) else "open"
        found.append((text, mood, short if name == own else ""))
    return found


def _batch(batch: Chapter) -> _Sentences:
    chosen = batch.get("chosen_batch_tokens")
    use = f" To use: {count(chosen)} tokens a step." if chosen else ""
    law = batch.get("law")
    if not law:
        return [(f"No law of the best batch was found: {batch.get('why') or 'too few minima'}.{use}", "open", "")]
    low, high = law.get("b_interval") or (None, None)
    exponent = f"{figure(law['b'], 2)} (95 % interval {between(low, high)}, R² {figure(law.get('r2'), 2)})"
    formula = f"batch = {figure(law['a'], 2)} / loss^{figure(law['b'], 2)}"
    if low is None or high is None:
        return [(f"The best batch follows {formula}, with an exponent of unknown uncertainty.{use}", "open", "")]
    if low <= 0 <= high:
        return [(f"Whether the best batch grows as the loss falls stays open: the exponent is {exponent}.{use}",
                 "open", "")]  # fmt: skip
    if law["b"] < 0:
        return [(f"The best batch shrank as the loss fell: the exponent is {exponent}.{use}", "bad", "")]
    text = f"The best batch grows as the loss falls: {formula}, the exponent {exponent}; MiniCPM measured 6.24."
    return [(text + use, "good", "")]


def _schedules(schedules: Chapter) -> _Sentences:
    found: _Sentences = []
    compared = endings(schedules)
    if compared:
        text, short = comparison(schedules), ""
        trunk, separate = schedules.get("wsd_tokens"), schedules.get("cosine_tokens")
        saves = bool(trunk and separate)
        cost = f" The trunk with its decays read {count(trunk)} tokens, the separate runs {count(separate)}"
        cost += f" ({percent(trunk / separate)})." if trunk and separate else ""
        kinds = {one.kind for one in compared}
        mood = "good" if kinds <= {"lower", "equal"} else "open" if "unknown" in kinds else "bad"
        if mood == "good":
            short = "decays from one trunk end as low as separate runs"
            short += f" for {percent(trunk / separate)} of the tokens" if trunk and separate else ""
        elif mood == "bad":
            higher = sum(one.kind == "higher" for one in compared)
            short = f"decays from one trunk end higher than separate runs at {higher} of {len(compared)} lengths"
        found.append((f"{text}.{cost if saves else ''}", mood, short))
    noise = schedules.get("noise")
    for key, what, name in (
        ("decay_lengths", "Length of the decay", lambda k: f"{percent(float(k))} of the run"),
        ("forms", "Shape of the decay", form_name),
    ):
        if best := near_best(schedules.get(key) or {}, noise):
            found.append((_best_of(what, best, noise, name), "open", ""))
    found += _mixing(schedules.get("mixing") or {}, schedules.get("mixing_noise"))
    return found


def _best_of(what: str, best: tuple[str, list[str], float], noise: float | None, name: Callable[[str], str]) -> str:
    first, near, worst = best
    others = [name(key) for key in near if key != first]
    if noise is None:
        return (
            f"{what}: {name(first)} ended lowest, but no seed was repeated; the range is {bits(worst)} bits per byte."
        )
    limit = bits(chance(noise))
    if others:
        tail = f"{listing(others)} may be as good (chance alone can make {limit})"
    else:
        tail = f"all others are worse by more than chance can make ({limit})"
    return f"{what}: {name(first)} ended lowest, the worst {bits(worst)} bits per byte above it; {tail}."


def _mixing(mixing: Mapping[str, Mapping[str, float | None]], noise: float | None) -> _Sentences:
    plain, mixed = mixing.get("A-1") or {}, mixing.get("A-2") or {}
    before, after = plain.get("answers_bpb"), mixed.get("answers_bpb")
    if before is None or after is None:
        return []
    limit = chance(noise)
    gain = before - after
    figures = f"{bits(after)} bits per byte on answers against {bits(before)} when they come only after it"
    if (cost := mixed.get("text_bpb")) is not None and (text_before := plain.get("text_bpb")) is not None:
        figures += f" (plain text {bits(cost)} against {bits(text_before)})"
    if limit is None:
        return [(f"Instructions in the decay: {figures}; no seed was repeated, so it may be chance.", "open", "")]
    figures += f"; chance alone can make {bits(limit)}"
    if abs(gain) <= limit:
        return [(f"Instructions in the decay make no difference that can be told from chance: {figures}.", "open", "")]
    if gain < 0:
        return [(f"Instructions in the decay make answers worse: {figures}.", "bad", "")]
    return [(f"Instructions mixed into the decay make answers better: {figures}.", "good", "")]


def _pace(ladder: Chapter) -> _Sentences:
    rates = ladder.get("rates") or {}
    factor, tried = rates.get("factor"), rates.get("tried") or {}
    own, first = tried.get(f"{factor:g}") if is_number(factor) else None, tried.get("1")
    if own is None or first is None or not is_number(rates.get("tokens")):
        return []
    place = f"after {count(rates['tokens'])} tokens at width {rates.get('width')}"
    if factor == 1:
        return [(f"Longer runs keep the rate of the short ones: it was still the best {place}.", "good", "")]
    # The figures are means over the languages, whose noise is no larger than the mean of theirs.
    limits = [chance(noise) or 0.0 for noise in (ladder.get("noise") or {}).values()]
    limit = sum(limits) / len(limits) if limits else 0.0
    is_open = first - own <= limit
    text = f"Longer runs {'may want' if is_open else 'want'} a lower rate: {place} {figure(factor)} times the short "
    text += f"runs' best ended at {bits(own)} bits per byte, the short runs' best itself at {bits(first)}"
    return [(f"{text}; chance alone can make {bits(limit)}." if is_open else f"{text}.", "open", "")]


def _ladder(ladder: Chapter) -> _Sentences:
    found = _pace(ladder)
    told = foretold(ladder)
    prediction = ladder.get("prediction") or {}
    more = prediction.get("times_largest")
    beyond = f" with {times(more)} the compute of any in its fit" if is_number(more) else ""
    figures = [
        f"{language(one.language)} {bits(one.measured)} measured, {bits(one.value)} foretold "
        f"({bits(one.low)} to {bits(one.high)})"
        for one in told
        if one.measured is not None
    ]
    inside = [one.is_inside for one in told if one.measured is not None]
    if figures and all(inside):
        text = f"The law held for a larger run that it had not seen{beyond}: {'; '.join(figures)}, inside the interval."
        found.append((text, "good", f"the law foretold a larger run{beyond}, within its interval"))
    elif figures:
        lost = listing([language(o.language) for o in told if o.measured is not None and not o.is_inside])
        text = f"The law missed a larger run that it had not seen{beyond}: {'; '.join(figures)}; {lost} lies outside."
        found.append((text, "bad", f"the law missed a larger run{beyond}"))
    elif (status := (ladder.get("held_out") or {}).get("status")) and status != "done":
        text = f"The larger run{beyond} that was to test the law ended without a figure: {status}."
        found.append((text, "bad", f"the run{beyond} that was to test the law {status}"))
    elif told:
        parts = [f"{language(o.language)} {bits(o.value)} ({bits(o.low)} to {bits(o.high)})" for o in told]
        text = f"For a run{beyond} the law foretells {listing(parts)} bits per byte; it has not been measured yet."
        found.append((text, "open", f"what the law foretells for a run{beyond} is not tested yet"))
    for code, best in (ladder.get("optimal") or {}).items():
        if best and best.get("ratio"):
            split = f" ({count(best['n'])} parameters, {count(best['d'])} tokens)" if best["n"] and best["d"] else ""
            text = (
                f"{language(code)}: with {flops(best['flops'])} FLOP the fitted law puts {figure(best['ratio'], 2)} "
                f"tokens on each parameter{split}; 95 % interval {between(best['low'], best['high'])}."
            )
            found.append((text, "open", ""))
    return found


_CHAPTERS: dict[str, Callable[[Chapter], _Sentences]] = {
    "check": _check,
    "search": _search,
    "transfer": _transfer,
    "batch": _batch,
    "schedules": _schedules,
    "ladder": _ladder,
}
