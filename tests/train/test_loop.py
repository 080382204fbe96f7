"""The loop: learns, does not care how a step is cut up, and never lets a bad step near the weights."""

import itertools
import math

import pytest
import torch
from tiny_run import CONTEXT, make_run, next_token, noisy_next_token, rows, run_to_end, tiny_settings

from dotori.errors import DiskError, Interrupted, UserError
from dotori.files import read_json
from dotori.runlog import RunLog
from dotori.train.ledger import read_ledger
from dotori.train.loop import gradients, take_step
from dotori.train.resume import stable_folder, step_folder

WATCHED = ("tokens_per_second", "utilisation", "memory_bytes")


def ledger(folder):
    """The ledger without what a clock or the machine decides."""
    lines = read_ledger(folder / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key not in WATCHED} for line in lines]


def losses(folder):
    return [line["loss"] for line in ledger(folder) if line["kind"] == "step"]


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_learns(tmp_path, optimizer):
    run_to_end(make_run(tmp_path, tiny_settings(steps=60, optimizer=optimizer), objective=next_token))
    found = losses(tmp_path)
    assert len(found) == 60
    assert found[0] == pytest.approx(math.log(37), abs=0.3)
    assert found[-1] < 0.6 * found[0]


def test_the_learning_rate_of_the_ledger_follows_the_schedule(tmp_path):
    run_to_end(make_run(tmp_path, tiny_settings(steps=10, decay="linear", lr=0.01)))
    rates = [line["lr"] for line in ledger(tmp_path) if line["kind"] == "step"]
    assert rates == pytest.approx([0.005] + [0.01] * 4 + [0.01 * n / 6 for n in (5, 4, 3, 2, 1)])


@pytest.mark.parametrize("micro_rows", [1, 3, 5])
def test_micro_batches_change_nothing(tmp_path, micro_rows):
    whole = make_run(tmp_path / "a", objective=next_token)
    cut = make_run(tmp_path / "b", objective=next_token, micro_rows=micro_rows)
    one, other = gradients(whole, rows, 0), gradients(cut, rows, 0)
    assert (one.loss, one.weight) == (pytest.approx(other.loss, rel=1e-6), other.weight)
    assert one.norm == pytest.approx(other.norm, rel=1e-5)
    for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_the_mean_is_over_targets_not_over_micro_batches(tmp_path):
    """A row with one target beside full ones must not weigh more when it sits alone in its micro-batch."""

    def uneven(first, count):
        batch = rows(first, count)
        is_thin = torch.arange(first, first + count) % 8 == 7
        keep = torch.arange(CONTEXT) == 0
        return batch._replace(targets=torch.where(is_thin[:, None] & ~keep, -100, batch.targets))

    whole = make_run(tmp_path / "a", objective=next_token, fetch=uneven)
    alone = make_run(tmp_path / "b", objective=next_token, fetch=uneven, micro_rows=1)
    assert gradients(whole, uneven, 0).loss == pytest.approx(gradients(alone, uneven, 0).loss, rel=1e-6)


def test_gradients_are_clipped_to_the_norm(tmp_path):
    run = make_run(tmp_path, tiny_settings(clip=0.01, weight_decay=0.0), objective=next_token)
    seen = []
    run.optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.nn.utils.get_total_norm([p.grad for p in run.model.parameters()]).item())
    )
    record = take_step(run, rows, RunLog(quiet=True))
    assert record["grad_norm"] > 0.01
    assert seen == [pytest.approx(0.01, rel=1e-4)]


def poisoned(objective, steps, value):
    """The objective with its loss replaced at some steps of 8 rows, one call a step."""
    calls = itertools.count()

    def objective_with_poison(model, batch):
        loss, weight, metrics = objective(model, batch)
        return (loss * value if next(calls) in steps else loss), weight, metrics

    return objective_with_poison


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_touches_nothing(tmp_path, value):
    run = make_run(tmp_path, objective=poisoned(next_token, {2}, value))
    log = RunLog(quiet=True)
    for _ in range(2):
        take_step(run, rows, log)
    weights = [p.detach().clone() for p in run.model.parameters()]
    state = [t.clone() for s in run.optimizer.state.values() for t in s.values()]
    window = (list(run.progress.window.losses), list(run.progress.window.norms))
    record = take_step(run, rows, log)
    assert record["loss"] is None
    assert "loss" in record["skipped"]
    assert all(torch.equal(a, b) for a, b in zip(weights, run.model.parameters(), strict=True))
    after = [t for s in run.optimizer.state.values() for t in s.values()]
    assert all(torch.equal(a, b) for a, b in zip(state, after, strict=True))
    assert (run.progress.window.losses, run.progress.window.norms) == window
    assert run.progress.step == 3
    assert "skipped" not in take_step(run, rows, log)


def test_a_spike_is_skipped_and_counted(tmp_path):
    run = run_to_end(make_run(tmp_path, tiny_settings(steps=90), objective=poisoned(next_token, {80}, 100.0)))
    assert [entry["step"] for entry in run.progress.skipped] == [80]
    assert run.progress.skipped[0]["first_sample"] == 640
    assert [line["step"] for line in ledger(tmp_path) if "skipped" in line] == [80]


def test_three_bad_steps_in_twenty_end_the_run(tmp_path):
    run = make_run(tmp_path, objective=poisoned(next_token, {5, 6, 9}, math.nan))
    with pytest.raises(UserError, match=r"step 9: the loss is nan; three bad steps in twenty"):
        run_to_end(run)
    assert read_json(tmp_path / "bad-step.json", "file")["first_sample"] == 72
    assert step_folder(tmp_path, 9).is_dir()


def test_policy_stop_saves_and_can_be_continued_by_skipping(tmp_path):
    bad_rows = 7 * 8

    def objective(model, batch):
        loss, weight, metrics = next_token(model, batch)
        return (loss * math.nan if batch.ids[0, 0] == bad_rows * 7 % 37 else loss), weight, metrics

    with pytest.raises(UserError, match='on_bad_step = "stop"'):
        run_to_end(make_run(tmp_path / "a", tiny_settings(on_bad_step="stop"), objective=objective))
    assert make_run(tmp_path / "a").progress.step == 7
    continued = run_to_end(make_run(tmp_path / "a", objective=objective))
    straight = run_to_end(make_run(tmp_path / "b", objective=objective))
    assert same_weights(continued, straight)
    assert ledger(tmp_path / "a") == ledger(tmp_path / "b")


def test_a_batch_without_targets_is_a_bad_step(tmp_path):
    def empty(first, count):
        batch = rows(first, count)
        return batch._replace(targets=torch.full_like(batch.targets, -100))

    record = take_step(make_run(tmp_path, objective=next_token, fetch=empty), empty, RunLog(quiet=True))
    assert record["skipped"] == "the loss is nan"


def after_calls(count, reason="stopped by SIGINT"):
    calls = itertools.count()
    return lambda: reason if next(calls) >= count else None


@pytest.mark.parametrize("cuts", [(1,), (12,), (3, 4, 8), (23,)])
def test_a_run_in_slices_is_the_run(tmp_path, cuts):
    settings = tiny_settings(validate_every=4)
    straight = run_to_end(make_run(tmp_path / "a", settings))
    for cut in cuts:
        with pytest.raises(Interrupted, match="saved"):
            run_to_end(make_run(tmp_path / "b", settings), stop=after_calls(cut))
    sliced = run_to_end(make_run(tmp_path / "b", settings))
    assert ledger(tmp_path / "a") == ledger(tmp_path / "b")
    assert same_weights(straight, sliced)


def test_without_decay_and_with_cosine(tmp_path):
    run_to_end(make_run(tmp_path / "constant", tiny_settings(schedule="constant", steps=6)))
    run_to_end(make_run(tmp_path / "cosine", tiny_settings(schedule="cosine", steps=6, warmup_steps=0)))
    assert stable_folder(tmp_path / "constant").is_dir()
    assert not stable_folder(tmp_path / "cosine").exists()


def test_a_run_by_minutes_plans_once_and_resumes_its_plan(tmp_path):
    settings = tiny_settings(steps=None, minutes=1.5 / 60, decay_share=0.4)
    run = run_to_end(make_run(tmp_path / "a", settings))
    plan = run.progress.plan
    assert plan.decay_start < plan.total == run.progress.step
    assert run.progress.elapsed < 3
    assert (plan.total - plan.decay_start) / plan.total == pytest.approx(0.4, abs=0.25)
    cut = make_run(tmp_path / "b", settings)
    with pytest.raises(Interrupted):
        run_to_end(
            cut, stop=lambda: "cut" if cut.progress.plan and cut.progress.step > cut.progress.plan.decay_start else None
        )
    again = make_run(tmp_path / "b", settings)
    assert again.progress.plan == cut.progress.plan
    assert run_to_end(again).progress.step == cut.progress.plan.total


def test_a_full_disk_ends_the_run_and_freeing_it_continues_to_the_same_weights(tmp_path, file_size_limit):
    straight = run_to_end(make_run(tmp_path / "a"))
    with pytest.raises(Interrupted):
        run_to_end(make_run(tmp_path / "b"), stop=after_calls(7))
    with file_size_limit(5000), pytest.raises(DiskError, match="free some space"):
        run_to_end(make_run(tmp_path / "b"))
    again = make_run(tmp_path / "b")
    assert again.progress.step == 7
    assert same_weights(straight, run_to_end(again))
    assert ledger(tmp_path / "a") == ledger(tmp_path / "b")


@pytest.mark.parametrize("lost", ["random", "optimizer", "window"])
def test_control_a_resume_that_loses_something_is_seen(tmp_path, lost):
    objective = poisoned(noisy_next_token, {75}, 100.0)
    settings = tiny_settings(steps=80, save_every=7)
    straight = run_to_end(make_run(tmp_path / "a", settings, objective=objective))
    with pytest.raises(Interrupted):
        run_to_end(make_run(tmp_path / "b", settings, objective=objective), stop=after_calls(72))
    run = make_run(tmp_path / "b", settings, objective=poisoned(noisy_next_token, {3}, 100.0))
    if lost == "random":
        torch.manual_seed(1)
    elif lost == "optimizer":
        run.optimizer.state.clear()
    else:
        run.progress.window.losses.clear()
        run.progress.window.norms.clear()
    assert not same_weights(straight, run_to_end(run))
