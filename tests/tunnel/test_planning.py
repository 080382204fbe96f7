"""What a tunnel plans into its time: the machine as it was measured, and chains that more workers do not shorten."""

from dataclasses import replace

import pytest
import torch
from tiny_tunnel import TINY, job_of

from dotori.errors import UserError
from dotori.model.count import flops_per_token
from dotori.runlog import RunLog
from dotori.train.settings import Phase
from dotori.tunnel import ladder
from dotori.tunnel.branches import Trunk
from dotori.tunnel.ground import TooShortError
from dotori.tunnel.machine import measure_machine, tokens_per_second
from dotori.tunnel.queue import open_queue
from dotori.tunnel.settings import TunnelSettings

STEP, TOKEN = 0.01, 1e-5


def planted(s, threads, count):
    """A machine whose step costs 10 ms and 10 microseconds a token."""
    return [s.batch_tokens / (STEP + TOKEN * s.batch_tokens)] * count


@pytest.mark.parametrize("rows", [1, 2, 4, 64])
def test_the_fixed_time_of_a_step_is_told_from_that_of_its_tokens(rows, tmp_path):
    s = replace(TINY, batch_tokens=rows * TINY.context)
    machine = measure_machine(tmp_path / "machine.json", [s], 500, 2, planted)
    [(width, fixed, rate)] = machine.speeds
    flops = flops_per_token(s.model.config(500, s.context, (0, 1, 2)), s.context)
    assert width == 16
    assert fixed == pytest.approx(STEP)
    assert rate == pytest.approx(flops / TOKEN)


def test_the_plan_stays_that_of_the_machine_measured_and_fewer_workers_do_it(data, data_hash, tmp_path):
    def run(workers):
        with RunLog(quiet=True) as log, open_queue(tmp_path / "t", data, log, lambda: None, workers) as queue:
            queue.measure([TINY])
            queue.beside = [job_of(data_hash, seed=9)]
            queue.run([job_of(data_hash, seed=workers)], "run")
            return queue.machine, queue.seconds(job_of(data_hash))

    before = run(2)
    assert run(1) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="device: cuda"):
        tokens_per_second(replace(TINY, device="cuda"), 500, 0.01)


@pytest.fixture
def wide(ground):
    """The same ground on a machine of sixteen workers."""
    machine = ground.queue.machine
    ground.queue.machine = replace(machine, workers=16)
    yield ground
    ground.queue.machine = machine


def test_a_chain_takes_its_time_however_many_workers_there_are(wide, data_hash):
    trunk = Trunk(wide, 2, 1, [1280, 2560, 5120], "chain")
    chain = [trunk.at(1280), trunk.at(2560), trunk.at(5120), trunk.decayed(6400, 5120)]
    others = [job_of(data_hash, seed=seed) for seed in range(3)]
    seconds = sum(map(wide.queue.seconds, chain))
    assert wide.wall([chain[-1], *others]) == pytest.approx(seconds)
    many = [job_of(data_hash, seed=seed, steps=5000) for seed in range(64)]
    assert wide.wall(many) == pytest.approx(4 * wide.queue.seconds(many[0]))


def test_a_ladder_on_many_workers_leaves_its_held_out_run_the_time_it_takes(wide):
    tokens = ladder.length(wide)
    held_out = wide.queue.seconds(ladder.held_out_job(wide, tokens, ""))
    assert 0.2 * wide.seconds("ladder") < held_out < wide.seconds("ladder")
    whole = replace(wide, alone=False)
    held_out = whole.queue.seconds(ladder.held_out_job(whole, ladder.length(whole), ""))
    assert held_out < sum(whole.seconds(name) for name in ("ladder", "batch", "schedules"))


def test_the_least_budget_of_a_ladder_does_not_depend_on_the_one_that_was_given(wide):
    least = []
    for minutes in (0.001, 0.01):
        with pytest.raises(TooShortError) as refused:
            ladder.length(replace(wide, alone=False, s=replace(wide.s, minutes=minutes)))
        least.append(refused.value.minutes)
    assert least[0] == pytest.approx(least[1])
    assert ladder.length(replace(wide, alone=False, s=replace(wide.s, minutes=1.01 * least[0]))) > 0


def test_a_chapter_that_does_not_fit_alone_is_not_told_to_take_more_than_it_gets(ground):
    small = replace(ground, s=replace(ground.s, minutes=30.0))
    with pytest.raises(TooShortError, match="gets 20 at most when it is run alone; choose smaller or fewer sizes"):
        small.most_tokens("batch", lambda tokens: 60.0 * tokens, 25, 100)
    with pytest.raises(TooShortError, match="give --budget 13m"):
        replace(small, s=replace(ground.s, minutes=1.0)).most_tokens("batch", lambda n: 64.0 * n, 10, 100)


def test_text_repeats_once_the_scarcest_domain_of_the_mixture_does(ground):
    domains = {"story": 1.0}
    whole = replace(ground, s=replace(ground.s, train=replace(TINY, phases=(Phase(weights=domains),))))
    mixed = {"story": 3.0, "chat": 1.0}
    both = replace(ground, s=replace(ground.s, train=replace(TINY, phases=(Phase(weights=mixed),))))
    chat = replace(ground, s=replace(ground.s, train=replace(TINY, phases=(Phase(weights={"chat": 1.0}),))))
    stories, chats = whole.train_tokens(), chat.train_tokens()
    assert both.train_tokens() == min(round(stories * 4 / 3), 4 * chats)
    none = replace(TINY, phases=(Phase(weights={"story": 1.0, "chat": 0.0}),))
    assert replace(ground, s=replace(ground.s, train=none)).train_tokens() == stories


@pytest.mark.parametrize("name", ["mup", "scale_embedding_lr", "independent_weight_decay"])
def test_rules_that_the_tunnel_compares_cannot_be_changed_beneath_it(name):
    changed = replace(TINY, **{name: not getattr(TINY, name)})
    with pytest.raises(UserError, match="the tunnel compares these rules itself"):
        TunnelSettings(train=changed, unit=8)
