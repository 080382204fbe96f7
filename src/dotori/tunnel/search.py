"""Hyper-parameters of the small proxy model by Bayesian search: Optuna's TPE, hopeless trials pruned.

MiniCPM (arXiv 2404.06395, section 3.1) found scale_emb, scale_depth, init_std and lr this way on a 9 M model. The best
trial is the luckiest of many, so it is run again with other seeds beside the default before it is believed.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from math import ceil
from statistics import mean
from types import ModuleType
from typing import Any

from dotori.errors import UserError
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job, Result
from dotori.tunnel.noise import chance, seed_noise

RANGES = {"scale_emb": (1.0, 30.0), "scale_depth": (0.35, 4.0), "init_std": (0.01, 0.3), "lr": (1e-3, 1e-1)}
LEAST_TOKENS, MOST_TOKENS = 60_000, 6_000_000
_LAYERS = 2
_FIRST_TRIALS = 8
# A trial is given up when, this far into its run, it is worse than most others were there.
_JUDGED_AT = 0.4
_CONFIRMING = 3


@dataclass
class Trial:
    """One point of the search and its run."""

    params: dict[str, float]
    job: Job
    result: Result | None = None
    middle: float | None = None


def search(ground: Ground) -> dict[str, Any]:
    """Runs the search and returns the chapter."""
    optuna = _optuna()
    s = ground.s
    ranges = RANGES | ({"matrix_lr": (2e-3, 2e-1)} if s.train.optimizer == "muon" else {})
    tokens = length(ground)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=s.train.seed, n_startup_trials=_FIRST_TRIALS))
    space = {name: optuna.distributions.FloatDistribution(*span, log=True) for name, span in ranges.items()}
    default = _default(ground, ranges)
    trials: list[Trial] = []
    together = ground.queue.machine.workers
    while len(trials) < s.search_trials:
        wave = [default] if not trials else []
        while len(wave) < min(together, s.search_trials - len(trials)):
            wave.append({name: float(f"{value:.6g}") for name, value in study.ask(space).params.items()})
        found = [Trial(params, _job(ground, params, tokens, 0)) for params in wave]
        _run(ground, found, trials)
        trials += found
        for trial in found:
            study.add_trial(_frozen(optuna, trial, space))
    best = min((t for t in trials if t.middle is not None), key=_score, default=None)
    if best is None or _score(best) == float("inf"):
        raise UserError(
            "search: every trial diverged, whatever its rates; the data or the base run do not train; look at "
            "train.clip, train.warmup_steps and the text"
        )
    jobs, results, confirmed = _confirm(ground, default, best.params, tokens)
    chapter = {
        "tokens_a_run": tokens,
        "trials": [_shown(number, trial) for number, trial in enumerate(trials)],
        "default": default,
        "best": best.params,
        **confirmed,
        "importance": _importance(optuna, study),
    }
    chapter["chosen"] = best.params if confirmed["is_better"] else default
    results |= {trial.job.id: trial.result for trial in trials if trial.result}
    return ground.save("search", chapter, [*jobs, *(trial.job for trial in trials)], results)


def length(ground: Ground) -> int:
    """Tokens of each trial within the chapter's time."""
    workers = ground.queue.machine.workers
    waves = ceil(ground.s.search_trials / workers) + ceil(2 * _CONFIRMING / workers)
    return ground.most_tokens(
        "search", lambda n: waves * ground.wall([_job(ground, {}, n, 0)]), LEAST_TOKENS, MOST_TOKENS
    )


def _optuna() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optuna = importlib.import_module("optuna")
    except ImportError:
        raise UserError(
            "search: Optuna is not installed; it is optional; pip install 'dotori[tunnel]' "
            "(in a checkout: pip install -c constraints.txt -e '.[tunnel]')"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _default(ground: Ground, ranges: dict[str, tuple[float, float]]) -> dict[str, float]:
    train = ground.s.train
    return {name: float(getattr(train, name, None) or getattr(train.model, name)) for name in ranges}


def _job(ground: Ground, params: dict[str, float], tokens: int, seed: int) -> Job:
    given = params | {"seed": ground.s.train.seed + seed, "validation_bytes": 50_000}
    settings = ground.settings(ground.s.search_heads, _LAYERS, tokens, given)
    words = ", ".join(f"{name} {value:.3g}" for name, value in params.items())
    return ground.job(settings, f"search: {words}, seed {seed}")


def _run(ground: Ground, wave: list[Trial], before: list[Trial]) -> None:
    """Runs a wave; a trial that is worse, part of the way, than half of those before it is pruned."""
    bar = sorted(t.middle for t in before if t.middle is not None)
    limit = bar[len(bar) // 2] if len(before) >= _FIRST_TRIALS and bar else float("inf")

    def judge(job: Job, curve: list[tuple[int, float]]) -> bool:
        return len(curve) >= _JUDGED_AT * (job.settings.total_steps or 1) and _middle(job, curve) > limit

    results = ground.queue.run([trial.job for trial in wave], f"search, trial {len(before) + len(wave)}", judge)
    for trial in wave:
        trial.result = results[trial.job.id]
        trial.middle = _middle(trial.job, ground.queue.curve(trial.job))


def _middle(job: Job, curve: list[tuple[int, float]]) -> float:
    """Mean training loss of the steps around the point at which trials are compared."""
    end = max(1, round(_JUDGED_AT * (job.settings.total_steps or 1)))
    losses = [loss for _, loss in curve[max(0, end - 10) : end]]
    return mean(losses) if losses and len(curve) >= end else float("inf")


def _score(trial: Trial) -> float:
    return trial.result.score if trial.result and trial.result.status == "done" else float("inf")


def _frozen(optuna: ModuleType, trial: Trial, space: dict[str, Any]) -> Any:
    """A trial as Optuna counts it: pruned and diverged ones inform the sampler as such."""
    inside = {n: min(max(trial.params[n], dist.low), dist.high) for n, dist in space.items()}
    score = _score(trial)
    if score == float("inf"):
        state, values = optuna.trial.TrialState.PRUNED, None
        steps = {1: trial.middle} if trial.middle not in (None, float("inf")) else {}
    else:
        state, values, steps = optuna.trial.TrialState.COMPLETE, score, {}
    return optuna.trial.create_trial(
        state=state, value=values, params=inside, distributions=space, intermediate_values=steps
    )


def _confirm(
    ground: Ground, default: dict[str, float], best: dict[str, float], tokens: int
) -> tuple[list[Job], dict[str, Result], dict[str, Any]]:
    """Default and best with seeds that the search has not seen, and whether the difference is more than noise."""
    seeds = range(1, 1 + _CONFIRMING)
    jobs = {name: [_job(ground, p, tokens, n) for n in seeds] for name, p in (("default", default), ("best", best))}
    results = ground.queue.run([job for made in jobs.values() for job in made], "search, best against default")
    scores = {name: [results[job.id].score for job in made] for name, made in jobs.items()}
    means = {name: mean(values) for name, values in scores.items()}
    noise = seed_noise([[v if v != float("inf") else None for v in values] for values in scores.values()])
    return (
        [job for made in jobs.values() for job in made],
        results,
        {
            "best_bits_per_byte": _finite(means["best"]),
            "default_bits_per_byte": _finite(means["default"]),
            "noise": noise,
            "repeats": _CONFIRMING,
            "is_better": means["best"] < means["default"] - chance(noise, _CONFIRMING),
        },
    )


def _importance(optuna: ModuleType, study: Any) -> dict[str, float]:
    """Share of the variance of the finished trials that each parameter explains (PED-ANOVA); empty with too few."""
    if len([trial for trial in study.trials if trial.value is not None]) < 6:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items()}


def _shown(number: int, trial: Trial) -> dict[str, Any]:
    assert trial.result is not None
    value = _finite(_score(trial))
    return {
        "number": number,
        "params": trial.params,
        "bits_per_byte": value,
        "status": trial.result.status,
        "run": trial.job.id,
    }


def _finite(value: float) -> float | None:
    return None if value == float("inf") else value
