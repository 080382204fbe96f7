"""Schedules: one trunk with decays against a cosine run for every length; how long and in which form to decay; and
what to mix in while decaying.

MiniCPM (arXiv 2404.06395, section 4 and table 5): a warm-up, a stable phase and a short decay reach what a cosine tuned
for the length reaches, and one trunk serves all lengths. Instruction data belong into the decay: A-1 decays on text and
tunes, A-2 decays on text and instructions and tunes, B-2 is A-1 with twice the tuning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dotori.checkpoint.folder import read_model
from dotori.data.loader import read_manifest
from dotori.tokenizer.load import load_tokenizer
from dotori.train.settings import Phase
from dotori.train.validate import answers_bits_per_byte
from dotori.tunnel.branches import Trunk, start_of, whole
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job, Result, with_needs
from dotori.tunnel.noise import seed_noise

LEAST_TOKENS, MOST_TOKENS = 300_000, 60_000_000
_LAYERS = 2
# The lengths compared, of the longest: in less than some 2,000 steps a tenth is too short a decay (docs/log.md).
_LENGTHS = (0.4, 0.55, 0.7, 0.85, 1.0)
# MiniCPM's share, of every length; the longest tries all.
_DECAY_SHARE = 0.1
_SHARES = (0.025, 0.05, 0.1, 0.2)
_FORMS = ("linear", "exponential", "sqrt")
# Each schedule's own best rate, looked for at half the shortest length: factors of 2 from the rates found before.
_RATE_STEPS = (-1, 0, 1)
# Checkpoints that take the mean in place of a decay lie over this last share of the trunk.
_AVERAGED = (0.9, 0.925, 0.95, 0.975, 1.0)
_CHAT_SHARE, _TUNING = 0.25, 0.2


def schedules(ground: Ground) -> dict[str, Any]:
    """Runs all schedules and returns the chapter."""
    longest = length(ground)
    tuning = _tuning(ground, lengths(ground, longest)[0])
    results = ground.queue.run([job for runs in tuning.values() for job in runs.values()], "schedules: rates")
    steps = {name: min(_RATE_STEPS, key=lambda n: results[runs[n].id].score) for name, runs in tuning.items()}
    plan = _plan(ground, longest, steps)
    results |= ground.queue.run(_all(plan), "schedules")
    return ground.save("schedules", _chapter(ground, plan, results, steps), _all(plan), results)


def length(ground: Ground) -> int:
    """Tokens of the longest run within the chapter's time."""
    middle = {"wsd": 0, "cosine": 0}

    def cost(longest: int) -> float:
        plan = _plan(ground, longest, middle)
        rates = list(plan.pop("tuning").values())  # before the others, which take the best
        return ground.wall(rates) + ground.wall(_all(plan))

    return ground.most_tokens("schedules", cost, LEAST_TOKENS, MOST_TOKENS)


def lengths(ground: Ground, longest: int) -> list[int]:
    """The token counts compared: equal steps up to the longest."""
    return [whole(longest * part, _batch(ground)) for part in _LENGTHS]


def _batch(ground: Ground) -> int:
    return int(ground.tuned.get("batch_tokens", ground.s.train.batch_tokens))


def _tuning(ground: Ground, shortest: int) -> dict[str, dict[Any, Job]]:
    """Both schedules at half the shortest length with three rates."""
    tokens = whole(shortest / 2, _batch(ground))
    start = start_of(tokens, _DECAY_SHARE, _batch(ground))
    return {
        "wsd": {step: _trunk(ground, [start], 0, step).decayed(tokens, start) for step in _RATE_STEPS},
        "cosine": {step: _cosine(ground, tokens, step, 0) for step in _RATE_STEPS},
    }


def _plan(ground: Ground, longest: int, steps: dict[str, int]) -> dict[str, dict[Any, Job]]:
    """All runs by group; `steps`: the rates of both schedules."""
    batch, share = _batch(ground), _DECAY_SHARE
    ends = lengths(ground, longest)
    longest = ends[-1]
    starts = {end: start_of(end, share, batch) for end in ends}
    by_share = {part: start_of(longest, part, batch) for part in _SHARES}
    averaged = [round(part * longest / batch) * batch for part in _AVERAGED]
    trunk = _trunk(ground, [*starts.values(), *by_share.values(), *averaged], 0, steps["wsd"])
    forms: dict[Any, Job] = {form: trunk.decayed(longest, starts[longest], {"decay": form}) for form in _FORMS}
    members = tuple(trunk.at(cut) for cut in averaged)
    settings = ground.settings(ground.s.schedule_heads, _LAYERS, batch, {})
    forms["average"] = ground.job(settings, "mean of five checkpoints", kind="average", members=members)
    first = ends[0]
    seeds = range(1, ground.s.seeds + 1)
    others = {n: _trunk(ground, [starts[first]], n, steps["wsd"]).decayed(first, starts[first]) for n in seeds}
    tuning = _tuning(ground, first)
    return {
        "wsd": {end: trunk.decayed(end, start) for end, start in starts.items()},
        "shares": {part: trunk.decayed(longest, start) for part, start in by_share.items()},
        "forms": forms,
        "seeds": others,
        "tuning": {(name, step): job for name, runs in tuning.items() for step, job in runs.items()},
        "cosine": _cosines(ground, ends, steps["cosine"]),
        "mixing": _mixing(ground, trunk, longest, starts[longest]),
    }


def _all(plan: dict[str, dict[Any, Job]]) -> list[Job]:
    return with_needs(job for group in plan.values() for job in group.values())


def _trunk(ground: Ground, cuts: list[int], seed: int, step: int) -> Trunk:
    label = f"WSD, rate x {2.0**step:g}{f', seed {seed}' if seed else ''}"
    changed = ground.rates(2.0**step) | {"seed": ground.s.train.seed + seed}
    return Trunk(ground, ground.s.schedule_heads, _LAYERS, cuts, label, changed)


def _cosine(ground: Ground, tokens: int, step: int, seed: int) -> Job:
    # MiniCPM's comparator ends at a tenth of the rate.
    given = ground.rates(2.0**step) | {"schedule": "cosine", "lr_floor": 0.1, "seed": ground.s.train.seed + seed}
    settings = ground.settings(ground.s.schedule_heads, _LAYERS, tokens, given)
    return ground.job(settings, f"cosine of {tokens / 1e6:.2f} M, rate x {2.0**step:g}, seed {seed}")


def _cosines(ground: Ground, ends: list[int], step: int) -> dict[Any, Job]:
    runs: dict[Any, Job] = {end: _cosine(ground, end, step, 0) for end in ends}
    return runs | {f"seed {n}": _cosine(ground, ends[0], step, n) for n in range(1, ground.s.seeds + 1)}


def _mixing(ground: Ground, trunk: Trunk, longest: int, start: int) -> dict[Any, Job]:
    """A-1, A-2 and B-2, where the dataset has conversations and holds some back; the first two with further seeds."""
    chat = chat_weights(ground)
    if not chat:
        return {}
    text, batch = ground.phases[0].weights, _batch(ground)
    mixed = {n: w / sum(text.values()) * (1 - _CHAT_SHARE) for n, w in text.items()}
    mixed |= {n: w / sum(chat.values()) * _CHAT_SHARE for n, w in chat.items()}
    tokens = whole(_TUNING * (longest - start), batch)

    def tuned(phases: tuple[Phase, ...], name: str, count: int, seed: int) -> Job:
        own = {"seed": ground.s.train.seed + seed}
        init = trunk.decayed(longest, start, own | ({"phases": phases} if phases else {}))
        given: dict[str, Any] = {"model": None, "schedule": "wsd", "decay_share": 0.9, "warmup_steps": 5}
        given |= own | {"phases": (Phase(weights=chat),)}
        settings = ground.settings(ground.s.schedule_heads, _LAYERS, count, given | ground.rates(0.2))
        return ground.job(settings, f"{name}: tuned on {count / 1e6:.2f} M", init=init, kind="sft")

    rich = (Phase(weights=mixed, loss_on="all"),)
    runs: dict[Any, Job] = {}
    for seed in range(ground.s.seeds):
        for name, phases in (("A-1", ()), ("A-2", rich)):
            label = f"{name}{f' seed {seed}' if seed else ''}"
            runs[label] = tuned(phases, label, tokens, seed)
    return runs | {"B-2": tuned((), "B-2", 2 * tokens, 0)}


def chat_weights(ground: Ground) -> dict[str, float]:
    """The conversation domains that the decay mixes in: those of the settings, else all that hold some back."""
    if ground.s.chat is not None:
        return ground.s.chat
    domains = read_manifest(ground.queue.data)["domains"]
    held = {n: e for n, e in domains.items() if e["format"] == "chat" and len(e["splits"]) > 1}
    return {
        name: float(entry["splits"]["train"]["tokens"]) for name, entry in held.items() if "train" in entry["splits"]
    }


def _chapter(
    ground: Ground, plan: dict[str, dict[Any, Job]], results: dict[str, Result], steps: dict[str, int]
) -> dict[str, Any]:
    def scores(group: str) -> dict[str, float | None]:
        found = {str(name): results[job.id].score for name, job in plan[group].items()}
        return {name: None if value == float("inf") else value for name, value in found.items()}

    cosine = scores("cosine")
    again = [cosine.pop(name) for name in [n for n in cosine if n.startswith("seed")]]
    wsd, first = scores("wsd"), next(iter(cosine))
    noise = seed_noise([[cosine[first], *again], [wsd[first], *scores("seeds").values()]])
    trunk_tokens = sum(job.tokens for job in with_needs(plan["wsd"].values()))
    cosine_tokens = sum(job.tokens for name, job in plan["cosine"].items() if not str(name).startswith("seed"))
    forms, shares = scores("forms"), scores("shares")
    mixing, mixing_noise = _mixed(ground, plan["mixing"], results)
    return {
        "lengths": [int(n) for n in wsd],
        "wsd": wsd,
        "cosine": cosine,
        "rate_factors": {name: 2.0**step for name, step in steps.items()},
        "noise": noise,
        "wsd_tokens": trunk_tokens,
        "cosine_tokens": cosine_tokens,
        "share": trunk_tokens / cosine_tokens,
        "decay_lengths": shares,
        "forms": forms,
        "base_form": ground.s.train.decay,
        "trunk": _trunk_curve(plan, results),
        "decay_share": _DECAY_SHARE,
        "best_share": float(_best(shares) or 0) or None,
        "best_form": _best(forms),
        "mixing": mixing,
        "mixing_noise": mixing_noise,
    }


def _trunk_curve(plan: dict[str, dict[Any, Job]], results: dict[str, Result]) -> list[list[float]]:
    """(tokens, bits per byte) of the trunk wherever it was cut."""
    points, tokens = [], 0
    for job in with_needs(plan["wsd"].values()):
        if job.settings.schedule == "constant":
            tokens += job.tokens
            points.append([tokens, results[job.id].score])
    return [point for point in points if point[1] != float("inf")]


def _best(scores: dict[str, float | None]) -> str | None:
    known = {name: value for name, value in scores.items() if value is not None}
    return min(known, key=lambda name: known[name]) if known else None


def _mixed(
    ground: Ground, jobs: dict[Any, Job], results: dict[str, Result]
) -> tuple[dict[str, Any] | None, float | None]:
    """Answers and text of the three designs after tuning, bits per byte of what was held back; the answers' noise."""
    done = {name: job for name, job in jobs.items() if results[job.id].status == "done"}
    if not {"A-1", "A-2", "B-2"} <= done.keys():
        return None, None
    tokenizer, found = load_tokenizer(ground.queue.data / "tokenizer"), {}
    for name, job in done.items():
        model, _ = read_model(ground.queue.runs / job.id)
        domains = list(chat_weights(ground))
        answers = answers_bits_per_byte(model, tokenizer, ground.queue.data, ground.s.train.context, domains)
        found[name] = {"answers_bpb": answers, "text_bpb": results[job.id].score, "tokens": job.tokens}
    by_run = {name: row["answers_bpb"] for name, row in found.items()}
    return {name: row for name, row in found.items() if "seed" not in name}, mixing_noise(by_run)


def mixing_noise(answers: Mapping[str, float | None]) -> float | None:
    """Spread between the seeds of A-1 and of A-2 (`seed_noise`), by run; None where no design has two figures."""
    pairs = [[value for run, value in answers.items() if run.startswith(name)] for name in ("A-1", "A-2")]
    return seed_noise(pairs) if any(len(pair) > 1 and None not in pair for pair in pairs) else None
