"""The one training loop. A step, from top to bottom:

    rows of the step -> micro-batches -> objective -> backward, sums only
    sums / weight of all micro-batches -> loss and gradient norm, the only read from the device
    finite? a spike? -> skip or stop, before anything touches the weights
    clip -> learning rate of this step -> optimizer -> ledger line

and between steps: plan the decay, checkpoint, stop when asked, validate. What a run is made of stands in `Run`; what
changes is the model, the optimizer and `Run.progress`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dotori.errors import Interrupted, UserError
from dotori.files import atomic_write, to_json
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.train.ledger import Ledger
from dotori.train.objective import Batch, Objective
from dotori.train.resume import Progress, prune, save, stable_folder, step_folder
from dotori.train.schedule import Plan, fixed_plan, multiplier, timed_plan
from dotori.train.settings import TrainSettings, planned_phases
from dotori.train.speed import Clock, Speed
from dotori.train.spikes import Window, too_many

Fetch = Callable[[int, int], Batch]


@dataclass
class Run:
    """One training run.

    open_data: plan -> fetch; fetch(first_sample, rows) -> Batch on the device; opened anew once a plan is made.
    watch: () -> bits per byte by language and samples; called after every `validate_every` steps and at the end.
    """

    model: Transformer
    optimizer: torch.optim.Optimizer
    objective: Objective
    open_data: Callable[[Plan | None], Fetch]
    watch: Callable[[], tuple[dict[str, float], list[dict[str, str]]]]
    settings: TrainSettings
    micro_rows: int
    autocast: Callable[[], AbstractContextManager]
    speed: Speed
    folder: Path
    identity: dict[str, Any]
    progress: Progress


@dataclass(frozen=True)
class Gradient:
    """Means over `weight` of what one step's backward passes gave, while .grad still holds sums."""

    loss: float
    norm: float
    weight: float
    metrics: dict[str, float]


def train(run: Run, log: RunLog, stop: Callable[[], str | None]) -> None:
    """Trains to the end of the plan; a checkpoint from before the last step stays in `run.folder`.

    Raises Interrupted (saved) once `stop()` gives a reason, UserError (saved) at a bad step when the policy is to stop,
    DiskError when a checkpoint or the ledger cannot be written (the checkpoint before it stays).
    """
    s, progress = run.settings, run.progress
    if s.total_steps is not None:
        progress.plan = fixed_plan(s.total_steps, s.warmup_steps, s.effective_decay_share)
    fetch, clock = run.open_data(progress.plan), Clock(progress)
    with Ledger(run.folder, s.tensorboard) as ledger, log.progress("train", _tokens_left(run), "tok") as meter:
        while True:
            if progress.plan is None and (plan := _timed_plan(s, progress, clock)):
                progress.plan, fetch = plan, run.open_data(plan)
                log.event("plan", warmup=plan.warmup, decay_start=plan.decay_start, total=plan.total)
            _save_if_due(run, clock)
            if progress.plan is not None and progress.step >= progress.plan.total:
                return
            if reason := stop():
                _save(run, clock)
                raise Interrupted(f"train: {reason} {_place(progress)}; saved; run the same command to continue")
            clock.begin_step()
            record = take_step(run, fetch, log)
            clock.end_step()
            figures = run.speed.figures(s.batch_tokens, clock.last_step())
            ledger.write("step", record | figures)
            meter.advance(s.batch_tokens, _status(record, figures, _seconds_left(run, clock)))
            if _is_watched(s, progress):
                _watch(run, ledger, log)


def take_step(run: Run, fetch: Fetch, log: RunLog) -> dict[str, Any]:
    """The step at `run.progress`, applied or, when it is bad, skipped; returns its ledger line."""
    s, progress = run.settings, run.progress
    if progress.step in dict(planned_phases(s, progress.plan)):
        progress.window = Window()  # other data, another loss: not a spike
    gradient = gradients(run, fetch, progress.samples)
    factor = multiplier(progress.step, progress.plan, s.warmup_steps, s.shape, s.lr_floor)
    record: dict[str, Any] = {"step": progress.step, "loss": gradient.loss, "lr": s.lr * factor}
    record |= {"grad_norm": gradient.norm} | gradient.metrics
    if reason := progress.window.judge(gradient.loss, gradient.norm):
        run.optimizer.zero_grad(set_to_none=True)
        _skip_or_stop(run, reason, log)
        record = {key: value if math.isfinite(value) else None for key, value in record.items()} | {"skipped": reason}
    else:
        apply(run, gradient, factor)
        progress.window.add(gradient.loss, gradient.norm)
    progress.step += 1
    progress.samples += s.rows
    progress.tokens += s.batch_tokens
    return record | {"tokens": progress.tokens}


def gradients(run: Run, fetch: Fetch, first_sample: int) -> Gradient:
    """Sums the gradients of one step's micro-batches into .grad and returns the means."""
    rows, sums = run.settings.rows, torch.zeros(2, dtype=torch.float64)
    names: list[str] = []
    for offset in range(0, rows, run.micro_rows):
        batch = fetch(first_sample + offset, min(run.micro_rows, rows - offset))
        with run.autocast():
            loss_sum, weight, metrics = run.objective(run.model, batch)
        loss_sum.backward()
        names = list(metrics)
        found = torch.stack([value.detach().double() for value in (loss_sum, weight, *metrics.values())])
        sums = found if offset == 0 else sums + found
    norm = torch.nn.utils.get_total_norm(_grads(run.model)).double()
    loss, weight_sum, *rest, norm_sum = torch.cat([sums, norm[None]]).tolist()
    divide = 1 / weight_sum if weight_sum else math.nan
    means = {name: value * divide for name, value in zip(names, rest, strict=True)}
    return Gradient(loss * divide, norm_sum * divide, weight_sum, means)


@torch.no_grad()
def apply(run: Run, gradient: Gradient, factor: float) -> None:
    """Turns the sums in .grad into clipped means and updates; `factor` multiplies every group's peak learning rate."""
    clip = min(1.0, run.settings.clip / max(gradient.norm, 1e-12))
    torch._foreach_mul_(_grads(run.model), clip / gradient.weight)
    for group in run.optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)


def _grads(model: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def _skip_or_stop(run: Run, reason: str, log: RunLog) -> None:
    """Counts a bad step, or saves what is needed to look at it and raises UserError."""
    s, progress = run.settings, run.progress
    step, first, end = progress.step, progress.samples, progress.samples + s.rows
    bad = {"step": step, "reason": reason, "first_sample": first, "end_sample": end}
    log.event("bad_step", **bad)
    repeated = too_many([earlier["step"] for earlier in progress.skipped], step)
    if s.on_bad_step == "skip" and not repeated:
        log.say(f"step {step}: {reason}; skipped with its samples {first} to {end - 1}")
        progress.skipped.append(bad)
        return
    atomic_write(run.folder / "bad-step.json", to_json(bad))
    save(step_folder(run.folder, step), run.model, run.optimizer, progress, run.identity)
    if repeated:
        rule, fix = "three bad steps in twenty end a run", "look at those samples, or lower lr and begin anew"
    else:
        rule, fix = 'on_bad_step = "stop" ends a run here', 'look at those samples, or continue with "skip"'
    raise UserError(
        f"train: step {step}: {reason}; {rule}; the state before it and its sample numbers are in {run.folder}; {fix}"
    )


def _timed_plan(s: TrainSettings, progress: Progress, clock: Clock) -> Plan | None:
    """The plan of a run by minutes once its stable phase is over."""
    assert s.minutes is not None
    budget, share = 60 * s.minutes, s.effective_decay_share
    return timed_plan(progress.step, s.warmup_steps, share, clock.elapsed(), budget, clock.step_seconds())


def _save_if_due(run: Run, clock: Clock) -> None:
    """Saves every `save_every` steps, before the decay, and before the last step, which is repeated as a proof."""
    s, progress, plan = run.settings, run.progress, run.progress.plan
    if plan is not None and progress.step == plan.decay_start > 0 and s.keep_stable:
        clock.note()
        save(stable_folder(run.folder), run.model, run.optimizer, progress, run.identity)
    is_special = plan is not None and progress.step in (plan.decay_start, plan.total - 1)
    is_saved = step_folder(run.folder, progress.step).exists()
    if is_special or (progress.step % s.save_every == 0 and not is_saved):
        _save(run, clock)


def _save(run: Run, clock: Clock) -> None:
    clock.note()
    save(step_folder(run.folder, run.progress.step), run.model, run.optimizer, run.progress, run.identity)
    prune(run.folder)


def _is_watched(s: TrainSettings, progress: Progress) -> bool:
    is_last = progress.plan is not None and progress.step == progress.plan.total
    return is_last or (s.validate_every > 0 and progress.step % s.validate_every == 0)


def _watch(run: Run, ledger: Ledger, log: RunLog) -> None:
    progress = run.progress
    progress.validation, samples = run.watch()
    ledger.write("validation", {"step": progress.step, "bits_per_byte": progress.validation})
    words = ", ".join(f"{language} {value:.3f}" for language, value in progress.validation.items())
    log.say(f"step {progress.step}: bits per byte {words or 'not measured'}")
    for sample in samples:
        ledger.write("sample", {"step": progress.step} | sample)
        log.say(f"  {sample['prompt']}|{sample['text']}")


def _tokens_left(run: Run) -> int | None:
    plan = run.progress.plan
    return None if plan is None else (plan.total - run.progress.step) * run.settings.batch_tokens


def _seconds_left(run: Run, clock: Clock) -> float:
    progress, plan = run.progress, run.progress.plan
    if plan is not None:
        return (plan.total - progress.step) * clock.step_seconds()
    return 60 * (run.settings.minutes or 0) - clock.elapsed()


def _status(record: dict[str, Any], figures: dict[str, float], seconds_left: float) -> str:
    loss = "bad step" if record["loss"] is None else f"loss {record['loss']:.3f}"
    minutes, seconds = divmod(max(0, round(seconds_left)), 60)
    used = f"{figures['utilisation']:.0%} of peak  {figures['memory_bytes'] / 1e6:.0f} MB"
    return f"{loss}  {used}  {minutes}:{seconds:02d} left"


def _place(progress: Progress) -> str:
    return f"before step {progress.step}" + (f" of {progress.plan.total}" if progress.plan else "")
