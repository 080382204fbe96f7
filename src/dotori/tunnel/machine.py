"""How fast this machine trains the tunnel's models, and whether it should train several at a time: measured once.

Small models cannot keep two cores busy: one thread each on two runs is usually faster than both on one. A step of a
small model costs a fixed time besides its tokens; both are measured at a few widths and interpolated between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import exp, log
from pathlib import Path
from typing import Literal

import torch

from dotori.files import atomic_write, read_json, to_json
from dotori.model.count import flops_per_token
from dotori.model.init import init_weights
from dotori.model.transformer import Transformer
from dotori.train.allocator import keep_freed_memory
from dotori.train.objective import Batch, next_token
from dotori.train.optim import make_optimizer
from dotori.train.settings import TrainSettings
from dotori.train.stage import device_of

# Process hand-over, saving, proofs and the model folder of one run.
_RUN_SECONDS = 1.5
# How much faster bf16 must train the widest shape to be worth its rounding.
_WORTH_BF16 = 1.15
_TOKENS = (0, 1, 2)
Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Machine:
    """`workers` runs at a time with `threads` each, `threads_alone` for a run that has the machine to itself.

    speeds: (width, seconds a step costs besides its tokens, FLOP/s of the rest) by rising width, of one of `workers`.
    """

    workers: int
    threads: int
    threads_alone: int
    precision: Precision
    speeds: tuple[tuple[int, float, float], ...]
    packing: float

    def step_seconds(self, width: int, step_flops: float) -> float:
        """Seconds of one step of a model `width` wide, while all workers are busy."""
        known = [(log(w), log(max(fixed, 1e-5)), log(rate)) for w, fixed, rate in self.speeds]
        x = min(max(log(width), known[0][0]), known[-1][0])
        low = max(index for index, row in enumerate(known) if row[0] <= x + 1e-9)
        high = min(low + 1, len(known) - 1)
        share = 0.0 if low == high else (x - known[low][0]) / (known[high][0] - known[low][0])
        fixed, rate = (exp((1 - share) * known[low][i] + share * known[high][i]) for i in (1, 2))
        return fixed + step_flops / rate

    def seconds(self, s: TrainSettings, vocab_size: int, validation_tokens: int) -> float:
        """Seconds of a whole run of `s`, reading `validation_tokens` at its end."""
        assert s.model is not None
        assert s.total_steps is not None
        flops = flops_per_token(s.model.config(vocab_size, s.context, _TOKENS), s.context)
        width, steps = s.model.hidden_size, s.total_steps
        reading = self.step_seconds(width, flops * validation_tokens / 3)
        return _RUN_SECONDS + steps * self.step_seconds(width, flops * s.batch_tokens) + reading


def measure_machine(
    path: Path, shapes: list[TrainSettings], vocab_size: int, workers: int, time_all: Callable[..., list[float]]
) -> Machine:
    """The machine as it was measured into `path` before, or measured now with the shapes by rising width.

    `time_all(settings, threads, count)`: tokens a second of `count` workers that train `settings` at the same time.
    """
    if path.is_file():
        found = read_json(path, "measured machine")
        return Machine(**(found | {"speeds": tuple(tuple(row) for row in found["speeds"])}))
    cores = torch.get_num_threads()
    widest = shapes[-1]
    plain = sum(time_all(replace(widest, precision="float32"), 1, workers))
    half = sum(time_all(replace(widest, precision="bf16"), 1, workers))
    precision: Precision = "bf16" if half > _WORTH_BF16 * plain else "float32"
    together = half if precision == "bf16" else plain
    alone = time_all(replace(widest, precision=precision), cores, 1)[0]
    packs = together > alone
    used, threads = (workers, 1) if packs else (1, cores)
    speeds = []
    for s in shapes:
        s = replace(s, precision=precision)
        short = replace(s, batch_tokens=(2 if s.rows != 2 else 4) * s.context)
        assert s.model is not None
        flops = flops_per_token(s.model.config(vocab_size, s.context, _TOKENS), s.context)
        long_step, short_step = (one.batch_tokens / (sum(time_all(one, threads, used)) / used) for one in (s, short))
        per_token = max((long_step - short_step) / (s.batch_tokens - short.batch_tokens), 1e-12)
        fixed = max(short_step - per_token * short.batch_tokens, 1e-4)
        speeds.append((s.model.hidden_size, fixed, flops / per_token))
    single = time_all(replace(widest, precision=precision), 1, 1)[0]
    machine = Machine(used, threads, cores if alone > single else 1, precision, tuple(speeds), together / alone)
    atomic_write(path, to_json(asdict(machine)))
    return machine


def tokens_per_second(s: TrainSettings, vocab_size: int, seconds: float) -> float:
    """Tokens a second of training steps on random tokens in this process, on the run's device, for about `seconds`."""
    keep_freed_memory()
    assert s.model is not None
    config, device = s.model.config(vocab_size, s.context, _TOKENS), device_of(s)
    model = Transformer(config)
    init_weights(model, torch.Generator().manual_seed(0))
    model = model.to(device)
    optimizer = make_optimizer(model, config.logits_scaling, s, torch.float32)
    ids = torch.randint(3, vocab_size, (s.rows, s.context + 1)).to(device)
    batch = Batch(ids[:, :-1], ids[:, 1:], torch.zeros(s.rows, s.context, dtype=torch.int32, device=device))
    times: list[float] = []
    until = time.monotonic() + seconds
    while len(times) < 3 or time.monotonic() < until:
        started = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=s.precision == "bf16"):
            loss, _, _ = next_token(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    # The first steps fill caches and allocators.
    kept = sorted(times[1:])
    return s.batch_tokens / kept[len(kept) // 2]
