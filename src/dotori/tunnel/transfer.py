"""Learning-rate bowls: does the best rate of a narrow model serve a wide one?

Each variant is trained at several widths over a grid of rates, factor 2 apart, that grows until the best lies inside.
The bowl's minimum is the optimum; its move from the narrowest to the widest model is the drift, in factors of 2
(MiniCPM, arXiv 2404.06395, section 3.3; independent weight decay: Wortsman et al., arXiv 2309.14322).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log2
from typing import Any

from dotori.tunnel.bowl import drift
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job, Result
from dotori.tunnel.noise import seed_noise

# variant -> settings; MiniCPM's own variant and that of the base optimizer get all seeds, the others one.
VARIANTS: dict[str, dict[str, Any]] = {
    "mup": {"optimizer": "adamw"},
    "standard": {"optimizer": "adamw", "mup": False},
    "mup, independent weight decay": {"optimizer": "adamw", "independent_weight_decay": True},
    "mup, embedding lr / r": {"optimizer": "adamw", "scale_embedding_lr": True},
    "muon": {"optimizer": "muon"},
}
_NARROW = "mup, embedding lr / r"
LEAST_TOKENS, MOST_TOKENS = 60_000, 4_000_000
_VALIDATION_BYTES = 50_000
_FIRST = (-2.0, 0.0, 2.0)
_RATES_A_BOWL = 5
_WAVES, _LIKELY_WAVES = 8, 3
# Rows at most in a batch of another optimizer than the base run's: AdamW spends its first hundred steps on the
# frequencies of single tokens, where no rate differs from another, so it needs many short ones.
_FOREIGN_ROWS = 4
# What is left of a weight after all steps at the full rate, for the variant in which it does not depend on the rate.
_INDEPENDENT_SHARE = 0.2

Rates = dict[float, list[float | None]]


def transfer(ground: Ground) -> dict[str, Any]:
    """Runs the bowls and returns the chapter."""
    tokens = length(ground)
    ground.log.say(f"transfer: {len(ground.s.bowl_heads)} widths, {tokens / 1e6:.2f} M tokens a run")
    bowls = {key: set(_FIRST) for key in _bowls(ground)}
    results: dict[str, Result] = {}
    jobs: dict[tuple[str, int, float, int], Job] = {}
    for wave in range(_WAVES):
        for (name, heads), steps in bowls.items():
            for step in steps:
                for seed in range(_seeds(ground, name)):
                    jobs.setdefault((name, heads, step, seed), _job(ground, name, heads, step, seed, tokens))
        results |= ground.queue.run(list(jobs.values()), f"transfer, wave {wave + 1}")
        grown = {key: _grown(steps, _losses(key, jobs, results)) for key, steps in bowls.items()}
        if grown == bowls:
            break
        bowls = grown
    return ground.save("transfer", _chapter(ground, bowls, jobs, results, tokens), list(jobs.values()), results)


def length(ground: Ground) -> int:
    """Tokens of each run within the chapter's time."""
    return ground.most_tokens("transfer", lambda n: _cost(ground, n), LEAST_TOKENS, MOST_TOKENS)


def rate_of(ground: Ground, name: str, step: float) -> float:
    """The rate that a bowl's axis shows: Muon's for matrices, else lr; `step` counts factors of 2 from the base."""
    return _base(ground, "matrix_lr" if VARIANTS[name]["optimizer"] == "muon" else "lr", name) * 2**step


def _base(ground: Ground, rate: str, name: str) -> float:
    tuned = {} if _is_foreign(ground, name) else ground.tuned
    return tuned.get(rate, getattr(ground.s.train, rate))


def _is_foreign(ground: Ground, name: str) -> bool:
    """Whether a variant trains with another optimizer than the base run: the rates that were found are not for it."""
    return VARIANTS[name]["optimizer"] != ground.s.train.optimizer


def _batch(ground: Ground, name: str) -> int:
    batch: int = ground.tuned.get("batch_tokens", ground.s.train.batch_tokens)
    return min(batch, _FOREIGN_ROWS * ground.s.train.context) if _is_foreign(ground, name) else batch


def _seeds(ground: Ground, name: str) -> int:
    return ground.s.seeds if name == own_variant(ground) or name == "mup" else 1


def _heads(ground: Ground, name: str) -> tuple[int, ...]:
    """The widths of a variant: the embedding's question shows in the narrow ones, the widest costs most."""
    return ground.s.bowl_heads[:-1] if name == _NARROW else ground.s.bowl_heads


def _bowls(ground: Ground) -> list[tuple[str, int]]:
    return [(name, heads) for name in VARIANTS for heads in _heads(ground, name)]


def own_variant(ground: Ground) -> str:
    """The variant that trains as the base settings do."""
    return "muon" if ground.s.train.optimizer == "muon" else "mup"


def _job(ground: Ground, name: str, heads: int, step: float, seed: int, tokens: int) -> Job:
    batch = _batch(ground, name)
    changed = VARIANTS[name] | {"batch_tokens": batch}
    rates = {rate: _base(ground, rate, name) * 2**step for rate in ("lr", "matrix_lr")}
    if changed.get("independent_weight_decay"):
        changed["weight_decay"] = round((1 - _INDEPENDENT_SHARE) / max(1, tokens // batch), 6)
    given = changed | rates | {"seed": ground.s.train.seed + seed, "validation_bytes": _VALIDATION_BYTES}
    settings = ground.settings(heads, ground.s.bowl_layers, tokens, given)
    width = heads * ground.s.unit
    return ground.job(settings, f"{name}, width {width}, rate {rate_of(ground, name, step):.2g}, seed {seed}")


def _cost(ground: Ground, tokens: int) -> float:
    """Expected seconds of all bowls, in three waves or so."""
    one = {key: _job(ground, *key, 0.0, 0, tokens) for key in _bowls(ground)}
    seconds = {key: ground.queue.seconds(job) for key, job in one.items()}
    total = sum(_RATES_A_BOWL * _seeds(ground, name) * seconds[name, heads] for name, heads in seconds)
    return max(total / ground.queue.machine.workers, _LIKELY_WAVES * max(seconds.values()))


def _losses(key: tuple[str, int], jobs: dict[tuple[str, int, float, int], Job], results: dict[str, Result]) -> Rates:
    found: Rates = {}
    for (name, heads, step, _), job in sorted(jobs.items(), key=lambda item: item[0]):
        if (name, heads) == key and job.id in results:
            score = results[job.id].score
            found.setdefault(step, []).append(None if score == float("inf") else score)
    return found


def _grown(steps: set[float], losses: Rates) -> set[float]:
    """The rates, and the best one's neighbours on both sides; more where all diverged: smaller ones."""
    means = {step: _mean(values) for step, values in losses.items()}
    if all(mean is None for mean in means.values()):
        return steps | {min(steps) - 2.0} if min(steps) > -10 else steps
    best = min((mean, step) for step, mean in means.items() if mean is not None)[1]
    return steps | {best - 1.0, best + 1.0}


def _mean(values: Iterable[float | None]) -> float | None:
    kept = list(values)
    return None if any(value is None for value in kept) else sum(value for value in kept if value) / len(kept)


def _chapter(
    ground: Ground,
    bowls: dict[tuple[str, int], set[float]],
    jobs: dict[tuple[str, int, float, int], Job],
    results: dict[str, Result],
    tokens: int,
) -> dict[str, Any]:
    unit, widths = ground.s.unit, [heads * ground.s.unit for heads in ground.s.bowl_heads]
    losses = {(name, heads): _losses((name, heads), jobs, results) for name, heads in bowls}
    noise = seed_noise([values for by_rate in losses.values() for values in by_rate.values()])
    variants = {}
    for name in VARIANTS:
        points = {
            heads * unit: {log2(rate_of(ground, name, step)): values for step, values in losses[name, heads].items()}
            for heads in _heads(ground, name)
        }
        shown = {
            str(heads * unit): {
                f"{rate_of(ground, name, step):.6g}": values for step, values in sorted(by_step.items())
            }
            for heads, by_step in ((heads, losses[name, heads]) for heads in _heads(ground, name))
        }
        variants[name] = {"bowls": shown} | _judged(points, noise)
    return {
        "widths": widths,
        "tokens_a_run": tokens,
        "variants": variants,
        "noise": noise,
        "own_variant": own_variant(ground),
        "chosen": _chosen(ground, variants[own_variant(ground)]),
    }


def _judged(points: dict[int, Rates], noise: float) -> dict[str, Any]:
    """Optimum, interval and drift of a variant; nulls where a width has no three rates that trained."""
    trained = {
        width: [mean for v in rates.values() if (mean := _mean(v)) is not None] for width, rates in points.items()
    }
    if any(len(means) < 3 for means in trained.values()):
        return {"optimum": None, "interval": None, "drift_steps": None, "drift_interval": None}
    found = drift(points, noise)
    return {
        "optimum": {str(width): 2**x for width, x in found["optimum"].items()},
        "interval": {str(width): [2**low, 2**high] for width, (low, high) in found["interval"].items()},
        "drift_steps": found["drift"],
        "drift_interval": list(found["drift_interval"]),
        "is_edge": {str(width): bool(edge) for width, edge in found["is_edge"].items()},
        "best_bits_per_byte": {str(width): min(means) for width, means in trained.items()},
    }


def _chosen(ground: Ground, variant: dict[str, Any]) -> dict[str, float] | None:
    """The rates for later chapters: the geometric mean of the optima over the two widest models."""
    if variant["optimum"] is None:
        return None
    optima = [log2(rate) for rate in list(variant["optimum"].values())[-2:]]
    shift = sum(optima) / len(optima) - log2(rate_of(ground, own_variant(ground), 0.0))
    return {rate: _base(ground, rate, own_variant(ground)) * 2**shift for rate in ("lr", "matrix_lr")}
