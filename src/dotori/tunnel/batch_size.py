"""How many tokens a step should have: the batch that reaches a loss with the fewest tokens, as a law of the loss.

MiniCPM's measurement (arXiv 2404.06395, section 3.2): train with several batch sizes, find for each loss the tokens
that each batch size needs, and take the minimum of the parabola through them; bs = a / L^b joins the minima. Two
departures: each point is the end of a short decay branched from the run, since at a full rate small batches show their
noise and not what they learnt, and the rate grows with the root of the batch.
"""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from typing import Any

from dotori.errors import UserError
from dotori.tunnel.batch_law import fit_batch_law, optimum_batch
from dotori.tunnel.branches import Trunk, start_of, whole
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job, Result, with_needs

LEAST_TOKENS, MOST_TOKENS = 400_000, 50_000_000
_LAYERS = 2
# Token counts at which each run is branched and decayed, as shares of the longest.
_POINTS = (0.125, 0.25, 0.5, 1.0)
_DECAY_SHARE = 0.1
_LOSSES = 5
# MiniCPM's is 6.24; one beyond this is noise over a narrow range of losses.
_MOST_EXPONENT = 50.0


def batch_size(ground: Ground) -> dict[str, Any]:
    """Runs the batch sizes and returns the chapter."""
    tokens = length(ground)
    runs = _runs(ground, tokens)
    jobs = [job for branches in runs.values() for job in branches.values()]
    results = ground.queue.run(jobs, "batch sizes")
    curves = {key: _points(branches, results) for key, branches in runs.items()}
    minima = []
    for heads in ground.s.batch_heads:
        own = {batch: points for (other, batch), points in curves.items() if other == heads}
        minima += _minima(own, heads * ground.s.unit)
    law, why = _law([row for row in minima if not row["is_edge"]])
    chapter = {
        "tokens_a_run": tokens,
        "curves": [
            {"width": heads * ground.s.unit, "batch_tokens": batch, "points": points}
            for (heads, batch), points in curves.items()
        ],
        "minima": minima,
        "law": law,
        "why": why,
        "priors": priors(ground, tokens),
        "chosen_batch_tokens": _chosen(ground, minima),
    }
    return ground.save("batch", chapter, with_needs(jobs), results)


def length(ground: Ground) -> int:
    """Tokens of the longest run of each batch size within the chapter's time."""
    return ground.most_tokens("batch", lambda n: _cost(ground, n), LEAST_TOKENS, MOST_TOKENS)


def _runs(ground: Ground, tokens: int) -> dict[tuple[int, int], dict[int, Job]]:
    """(heads, batch) -> decays by token count."""
    base = ground.tuned.get("batch_tokens", ground.s.train.batch_tokens)
    found = {}
    for heads in ground.s.batch_heads:
        for batch in ground.s.batch_sizes:
            factor = (batch / base) ** 0.5
            rates = {
                name: ground.tuned.get(name, getattr(ground.s.train, name)) * factor for name in ("lr", "matrix_lr")
            }
            warmup = max(1, round(ground.s.train.warmup_steps * base / batch))
            ends = sorted({whole(share * tokens, batch) for share in _POINTS})
            starts = {end: start_of(end, _DECAY_SHARE, batch) for end in ends}
            label = f"batch {batch}, width {heads * ground.s.unit}"
            changed = rates | {"batch_tokens": batch, "warmup_steps": warmup}
            trunk = Trunk(ground, heads, _LAYERS, starts.values(), label, changed)
            found[heads, batch] = {end: trunk.decayed(end, start) for end, start in starts.items()}
    return found


def _cost(ground: Ground, tokens: int) -> float:
    return ground.wall([job for branches in _runs(ground, tokens).values() for job in branches.values()])


def _points(branches: dict[int, Job], results: dict[str, Result]) -> list[list[float]]:
    scores = [(tokens, results[job.id].score) for tokens, job in branches.items()]
    return [[tokens, score] for tokens, score in scores if score != float("inf")]


def _minima(curves: dict[int, list[list[float]]], width: int) -> list[dict[str, Any]]:
    """For losses that most batch sizes reach: the batch that needs the fewest tokens."""
    whole = {batch: points for batch, points in curves.items() if len(points) >= 2}
    if len(whole) < 3:
        return []
    low = max(min(score for _, score in points) for points in whole.values())
    high = min(max(score for _, score in points) for points in whole.values())
    best = min(score for points in whole.values() for _, score in points)
    # Below what the worst batch reaches, the others still compare; above what all begin with, none does.
    spans = [best + (high - best) * share / _LOSSES for share in range(1, _LOSSES)] if high > best else []
    rows = []
    for loss in sorted({*spans, low} if low < high else set(spans)):
        needed = {batch: tokens for batch, points in whole.items() if (tokens := tokens_for(points, loss)) is not None}
        if len(needed) >= 3:
            batch, is_edge = optimum_batch({float(size): tokens for size, tokens in needed.items()})
            rows.append({"width": width, "loss": loss, "batch_tokens": batch, "is_edge": is_edge, "needed": needed})
    return rows


def tokens_for(points: list[list[float]], loss: float) -> float | None:
    """Tokens at which a curve (tokens, loss) reaches `loss`, between its points in logarithms; None outside of them."""
    for (t0, l0), (t1, l1) in pairwise(points):
        if l1 <= loss <= l0 and l1 < l0:
            share = (log(l0) - log(loss)) / (log(l0) - log(l1))
            return exp(log(t0) + share * (log(t1) - log(t0)))
    return None


def _law(minima: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
    """The law through the minima, or why there is none."""
    try:
        points = [(row["loss"], row["batch_tokens"]) for row in minima]
        law = fit_batch_law(points, groups=[row["width"] for row in minima])
    except UserError as error:
        return None, str(error)
    if abs(law["b"]) > _MOST_EXPONENT:
        return None, f"an exponent of {law['b']:.0f}: the losses lie too close together to tell one"
    return law, ""


def priors(ground: Ground, tokens: int) -> dict[str, float]:
    """What published formulas say for the widest run here; they come from much larger models.

    Step Law (arXiv 2503.04715): 0.58 D^0.571 tokens. DeepSeek LLM (arXiv 2401.02954): 0.2920 C^0.3271 tokens.
    """
    flops = 6 * ground.size(max(ground.s.batch_heads), _LAYERS) * tokens
    return {"step_law": 0.58 * tokens**0.571, "deepseek": 0.2920 * flops**0.3271}


def _chosen(ground: Ground, minima: list[dict[str, Any]]) -> int | None:
    """The batch for the lowest loss measured inside the range, down to one of the sizes tried."""
    inside = [row for row in minima if not row["is_edge"]]
    if not inside:
        return None
    wanted = min(inside, key=lambda row: row["loss"])["batch_tokens"]
    return min(ground.s.batch_sizes, key=lambda size: abs(log(size) - log(wanted)))
