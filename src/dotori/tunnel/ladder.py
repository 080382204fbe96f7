"""The ladder: sizes x token counts from WSD branches, a law fitted to them, and a prediction made before its run.

L(N, D) of power_law.py in bits per byte, for each language (after MiniCPM, arXiv 2404.06395, section 4.5, and Hoffmann
et al., arXiv 2203.15556). N counts what multiplies: training FLOPs a token / 6, head and attention included,
so that C = 6 N D. The longest runs' tokens fall as 1 / sqrt(N): the smallest size reads about as many as the held-out
run, and none is trained so far beyond its best that it flattens, which bends the law (docs/log.md). The two largest
sizes, from which the law reaches out, are trained with two seeds, which also tell the noise. The bowls' runs are short,
and the best rate falls as runs get longer: the middle size first looks for the rate that serves the ladder's lengths.
The prediction for a larger and longer run is written to prediction.json, whose hash is part of that run's address and
lineage: the run cannot be older.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dotori.errors import UserError
from dotori.files import atomic_write, read_json, sha256_file, to_json
from dotori.tunnel.branches import Trunk, start_of, whole
from dotori.tunnel.budgets import what_to_train
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job, Result, with_needs
from dotori.tunnel.noise import seed_noise
from dotori.tunnel.power_law import (
    Fit,
    bootstrap_fits,
    compute_optimal,
    doptimal_ratio_interval,
    effective_tokens,
    fit_power_law,
    leave_out_largest,
    predict_band,
)
from dotori.tunnel.settings import SHARES

PREDICTION = "prediction.json"
_POINTS = (0.125, 0.25, 0.5, 1.0)
LEAST_STEPS, MOST_STEPS = 60, 10**7
# So many of the largest sizes are trained with a second seed.
_REPEATED = 2
# A tenth is too short for many tokens a parameter: small models flatten (docs/log.md).
_DECAY_SHARE = 0.2
# Rates tried for the ladder's lengths, in factors of 2 from those found before; lower ones down to the last follow.
_RATE_STEPS, _LOWEST = (0, -1, -2), -6


class Rung(NamedTuple):
    """A run of the ladder: `heads` units wide and as many layers, the seed's number, tokens in all."""

    heads: int
    seed: int
    tokens: int
    job: Job


def ladder(ground: Ground) -> dict[str, Any]:
    """Runs the sizes, predicts, and returns the chapter without its held-out run, which `score_held_out` adds."""
    largest = _largest_flops(ground)
    rates, probes, results = _paced(ground, largest)
    ground = replace(ground, tuned=ground.tuned | rates["chosen"])
    plan = rungs(ground, largest)
    results |= ground.queue.run([rung.job for rung in plan], "ladder")
    chapter = fitted(ground, plan, results) | rates
    predict(ground, chapter, largest)
    return ground.save("ladder", chapter, with_needs([*probes, *(rung.job for rung in plan)]), results)


def _paced(ground: Ground, largest: float) -> tuple[dict[str, Any], list[Job], dict[str, Result]]:
    """The rate of the ladder: what of the chapter tells of it, and the runs that were made."""
    steps, results = set(_RATE_STEPS), dict[str, Result]()
    while True:
        probes = {step: _probe(ground, largest, step) for step in sorted(steps)}
        results |= ground.queue.run(list(probes.values()), "ladder: rates")
        best = min(steps, key=lambda step: (results[probes[step].id].score, step))
        if best > min(steps) or best <= _LOWEST:
            break
        steps.add(best - 1)
    tried = {f"{2.0**step:g}": results[job.id].score for step, job in probes.items()}
    rates: dict[str, Any] = {
        "factor": 2.0**best,
        "tried": {factor: None if score == float("inf") else score for factor, score in tried.items()},
        "width": _middle(ground) * ground.s.unit,
        "tokens": max(_branches(ground, _middle(ground), largest, 0, _POINTS[:-1])),
    }
    return {"rates": rates, "chosen": ground.rates(2.0**best)}, list(probes.values()), results


def _probe(ground: Ground, largest: float, step: int) -> Job:
    """The middle size at the longest count but one, with another rate; the ladder goes on from the best one's trunk."""
    slower = replace(ground, tuned=ground.tuned | ground.rates(2.0**step))
    branches = _branches(slower, _middle(ground), largest, 0, _POINTS[:-1])
    return branches[max(branches)]


def _middle(ground: Ground) -> int:
    return sorted(ground.s.ladder_heads)[(len(ground.s.ladder_heads) - 1) // 2]


def length(ground: Ground) -> int:
    """Tokens of the held-out run within the chapter's time."""
    return held_out_tokens(ground, _largest_flops(ground))


def rungs(ground: Ground, largest: float) -> list[Rung]:
    """Every size at `_POINTS` of its longest run, the largest size's of `largest` FLOPs; the larger ones twice."""
    sizes, repeated = ground.s.ladder_heads, sorted(ground.s.ladder_heads)[-_REPEATED:]
    plan = [(heads, 0) for heads in sizes] + [(heads, 1) for heads in repeated]
    return [
        Rung(heads, seed, tokens, job)
        for heads, seed in plan
        for tokens, job in _branches(ground, heads, largest, seed).items()
    ]


def _branches(ground: Ground, heads: int, flops: float, seed: int, points: Sequence[float] = _POINTS) -> dict[int, Job]:
    batch, top = _batch(ground), max(ground.s.ladder_heads)
    most = flops / (6 * (ground.size(heads, heads) * ground.size(top, top)) ** 0.5)
    starts = {end: start_of(end, _DECAY_SHARE, batch) for end in {whole(part * most, batch) for part in points}}
    label = f"{heads * ground.s.unit} wide, {heads} layers{f', seed {seed}' if seed else ''}"
    label += f", lr {ground.rates(1.0)['lr']:.2g}"
    trunk = Trunk(ground, heads, heads, starts.values(), label, {"seed": ground.s.train.seed + seed})
    return {end: trunk.decayed(end, start) for end, start in sorted(starts.items())}


def _batch(ground: Ground) -> int:
    return int(ground.tuned.get("batch_tokens", ground.s.train.batch_tokens))


def held_out_tokens(ground: Ground, largest: float) -> int:
    """Tokens of the held-out run: `held_out_times` the largest compute fitted."""
    heads = ground.s.held_out_heads
    return whole(ground.s.held_out_times * largest / (6 * ground.size(heads, heads)), _batch(ground))


def held_out_job(ground: Ground, tokens: int, prediction: str) -> Job:
    """The run that is predicted: one WSD run with the ladder's decay; `prediction` is the hash of prediction.json."""
    heads = ground.s.held_out_heads
    settings = ground.settings(heads, heads, tokens, {"schedule": "wsd", "decay_share": _DECAY_SHARE})
    label = f"held out: {heads * ground.s.unit} wide, {heads} layers, {tokens / 1e6:.2f} M tokens"
    return ground.job(settings, label, parents=(("prediction", prediction),))


def _largest_flops(ground: Ground) -> float:
    """The most compute for the largest fitted run with which ladder and held-out run fit the time."""

    def cost(kilo_steps: int) -> float:
        flops = 6 * ground.size(max(ground.s.ladder_heads), max(ground.s.ladder_heads)) * kilo_steps * _batch(ground)
        probes = [_probe(ground, flops, step) for step in _RATE_STEPS]
        own = ground.wall(probes) + ground.wall([rung.job for rung in rungs(ground, flops)])
        held_out = ground.queue.seconds(held_out_job(ground, held_out_tokens(ground, flops), ""))
        # It has one worker, beside the chapters that follow, whose time it shares; alone, the chapter waits for it.
        share = 1.0 if ground.alone else SHARES["ladder"] / (SHARES["ladder"] + SHARES["batch"] + SHARES["schedules"])
        return max(own + held_out / ground.queue.machine.workers, (own + held_out) * share)

    # Steps of the largest fitted size at its longest.
    steps = ground.most_tokens("ladder", cost, LEAST_STEPS, MOST_STEPS)
    heads = max(ground.s.ladder_heads)
    return 6 * ground.size(heads, heads) * steps * _batch(ground)


def fitted(ground: Ground, plan: list[Rung], results: dict[str, Result]) -> dict[str, Any]:
    """Points, fits per language with their self-check, noise, and the compute-optimal ratio."""
    kept = [rung for rung in plan if results[rung.job.id].status == "done"]
    unique = ground.train_tokens()
    points = [
        {
            "width": rung.heads * ground.s.unit,
            "layers": rung.heads,
            "seed": rung.seed,
            "n": ground.size(rung.heads, rung.heads),
            "d": rung.tokens,
            "tokens_unique": min(rung.tokens, unique),
            "bits_per_byte": results[rung.job.id].bits_per_byte,
            "run": rung.job.id,
        }
        for rung in kept
    ]
    if len({point["width"] for point in points}) < 3:
        raise UserError(
            f"ladder: {len(points)} of {len(plan)} runs trained; three sizes at least make a law; "
            "begin with smaller train.lr and train.matrix_lr in another --out"
        )
    chapter: dict[str, Any] = {
        "points": points,
        "unique_tokens": unique,
        "fits": {},
        "optimal": {},
        "band": {},
        "self_check": {},
    }
    chapter["noise"] = {language: _noise(points, language) for language in ground.languages}
    laws = {language: law_of(chapter, language) for language in ground.languages}
    for language, law in laws.items():
        chapter |= _with_language(chapter, language, *law)
    return chapter | {"budgets": what_to_train(ground, laws, float(unique), chapter["noise"])}


def _noise(points: list[dict[str, Any]], language: str) -> float:
    """Spread between seeds of one language's figure, in bits per byte (`seed_noise`)."""
    by_width: dict[int, dict[int, list[float | None]]] = {}
    for point in points:
        found = by_width.setdefault(point["width"], {}).setdefault(point["d"], [])
        found.append(point["bits_per_byte"][language])
    # The branches of a trunk err together: of each pair of trunks the shortest and the longest are counted.
    counted = [ends[tokens] for ends in by_width.values() for tokens in {min(ends), max(ends)}]
    # Few pairs may agree by luck: three tenths of a per cent at least.
    return max(seed_noise(counted), 0.003 * min(point["bits_per_byte"][language] for point in points))


def law_of(chapter: dict[str, Any], language: str) -> tuple[Fit, list[Fit]]:
    """The law of one language through the chapter's points, and its bootstrap."""
    n, d, loss = arrays(chapter, language)
    groups, noise = _trunks(chapter), chapter["noise"][language]
    return fit_power_law(n, d, loss, groups=groups), bootstrap_fits(n, d, loss, groups=groups, noise=noise)


def _with_language(chapter: dict[str, Any], language: str, fit: Fit, fits: list[Fit]) -> dict[str, Any]:
    n, d, loss = arrays(chapter, language)
    groups, noise = _trunks(chapter), chapter["noise"][language]
    flops = float(max(6 * n * d))
    low, _, high = doptimal_ratio_interval(fits, flops)
    best_n, best_d = compute_optimal(fit, flops)
    band = [_band_at(fit, fits, part, noise) for part in np.geomspace(float(min(6 * n * d)), 8 * flops, 12)]
    optimal = {"flops": flops, "n": best_n, "d": best_d, "ratio": best_d / best_n, "low": low, "high": high}
    return {
        "fits": chapter["fits"] | {language: {k: getattr(fit, k) for k in ("e", "a", "alpha", "b", "beta", "gamma")}},
        "optimal": chapter["optimal"] | {language: optimal},
        "band": chapter["band"] | {language: band},
        "self_check": chapter["self_check"] | {language: _self_check(n, d, loss, groups, noise)},
    }


def _band_at(fit: Fit, fits: list[Fit], flops: float, noise: float) -> list[float]:
    """[flops, value, low, high] of the best run that the law knows for so much compute."""
    return [float(flops), *predict_band(fit, fits, *compute_optimal(fit, float(flops)), noise)]


def _self_check(
    n: np.ndarray, d: np.ndarray, loss: np.ndarray, groups: list[tuple[int, int]], noise: float
) -> dict[str, Any]:
    """The points of largest compute predicted from those of a quarter of it and less."""
    try:
        found = leave_out_largest(n, d, loss, groups=groups, noise=noise)
    except UserError as error:
        return {"why": str(error)}
    return {"points": len(found.measured), "inside": found.inside, "worst_error": found.worst_error}


def _trunks(chapter: dict[str, Any]) -> list[tuple[int, int]]:
    """The trunk of each point: branches of one trunk err together."""
    return [(point["width"], point["seed"]) for point in chapter["points"]]


def arrays(chapter: dict[str, Any], language: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """N, D (effective, where text repeats) and bits per byte of a chapter's points."""
    points = chapter["points"]
    n = np.array([point["n"] for point in points])
    d = effective_tokens(np.array([float(point["d"]) for point in points]), float(chapter["unique_tokens"]))
    return n, d, np.array([point["bits_per_byte"][language] for point in points])


def predict(ground: Ground, chapter: dict[str, Any], largest: float) -> None:
    """Adds the prediction to the chapter and writes it to prediction.json, unless the same stands there."""
    tokens = held_out_tokens(ground, largest)
    heads = ground.s.held_out_heads
    n = ground.size(heads, heads)
    flops = 6 * n * tokens
    prediction: dict[str, Any] = {
        "n": n,
        "d": tokens,
        "flops": flops,
        "times_largest": flops / max(6 * point["n"] * point["d"] for point in chapter["points"]),
        "languages": {language: predicted(chapter, language, n, tokens) for language in ground.languages},
        "points": chapter["points"],
        "unique_tokens": chapter["unique_tokens"],
        "noise": chapter["noise"],
    }
    path = ground.folder / PREDICTION
    if not (path.is_file() and read_json(path, "prediction") == prediction):
        atomic_write(path, to_json(prediction))
    shown = {key: prediction[key] for key in ("n", "d", "flops", "times_largest")}
    chapter["prediction"] = shown | prediction["languages"] | {"file_hash": sha256_file(path)}
    chapter["held_out"] = None


def predicted(chapter: dict[str, Any], language: str, n: float, tokens: int) -> dict[str, float]:
    """Bits per byte of a run of size `n` on `tokens`, with a 95 % band; a pure function of the points.

    Beside it "additive", what the plain sum of both terms (gamma = 1) says.
    """
    fit, fits = law_of(chapter, language)
    seen = float(effective_tokens(float(tokens), float(chapter["unique_tokens"])))
    plain = fit_power_law(*arrays(chapter, language), groups=_trunks(chapter), gamma=1.0)
    band = predict_band(fit, fits, n, seen, chapter["noise"][language])._asdict()
    return band | {"additive": float(plain.predict(n, seen))}


def score_held_out(folder: Path, chapter: dict[str, Any], result: Result) -> dict[str, Any]:
    """The chapter with the held-out run's figures beside its prediction, written."""
    measured = result.bits_per_byte
    prediction = chapter["prediction"]
    chapter["held_out"] = {
        "run": result.id,
        "status": result.status,
        "bits_per_byte": measured,
        "error": {language: prediction[language]["value"] / value - 1 for language, value in measured.items()},
        "inside": {
            language: prediction[language]["low"] <= value <= prediction[language]["high"]
            for language, value in measured.items()
        },
    }
    chapter["evidence"] = sorted({*chapter["evidence"], result.id})
    chapter["tokens"] += result.tokens
    chapter["core_seconds"] = round(chapter["core_seconds"] + result.seconds * result.threads, 1)
    atomic_write(folder / "ladder.json", to_json(chapter))
    return chapter
