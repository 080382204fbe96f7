"""Training speed on one common shape: our step, a plain PyTorch loop, and transformers' Trainer, in turns.

    python benchmarks/train_throughput.py [--rounds 3] [--steps 40]

Shape: 6 layers, 256 wide, 4 heads, gated SiLU 682, vocabulary 4096 tied, 16 rows of 256 tokens, AdamW (5.8 M
parameters). Every way runs alone in a process, the ways take turns, a figure is the median over rounds of the median
step. The limit is arithmetic: a token costs 37 MFLOP, and the share of what a large matrix product reaches is told.
`dotori` is what `precision = "auto"` chooses on this machine, with the document mask of packed rows and the loss of our
own head; `dotori float32` and `dotori muon` change one thing each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from measure import in_a_process, median, write
from torch import nn
from torch.nn import functional

from dotori.model.config import mup_config
from dotori.model.count import flops_per_token
from dotori.model.init import init_weights
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.train.allocator import keep_freed_memory
from dotori.train.loop import Run, take_step
from dotori.train.objective import Batch, next_token
from dotori.train.optim import make_optimizer
from dotori.train.resume import Progress
from dotori.train.settings import TrainSettings
from dotori.train.speed import Speed, measured_peak

VOCAB, CONTEXT, WIDTH, LAYERS, HEADS, INNER, ROWS = 4096, 256, 256, 6, 4, 682, 16
CPU = torch.device("cpu")
WAYS = ("plain", "hf", "dotori", "dotori float32", "dotori muon")


def config():
    """The common shape as one of our models."""
    return mup_config(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
    )


class PlainLayer(nn.Module):
    """Attention and gated SiLU behind RMS norms, as one writes them first."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_mlp = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate, self.up = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(WIDTH, INNER, bias=False)
        self.down = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        heads = self.query_key_value(self.before_attention(x)).view(rows, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(rows, length, WIDTH))
        normed = self.before_mlp(x)
        return x + self.down(functional.silu(self.gate(normed)) * self.up(normed))


def plain(steps: int) -> Iterator[None]:
    """Embedding and learnt positions, layers, tied head, fused AdamW; yields after each step."""
    table, positions = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
    layers, last = nn.Sequential(*[PlainLayer() for _ in range(LAYERS)]), nn.RMSNorm(WIDTH)
    model = nn.ModuleList([table, positions, layers, last])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    for _ in range(steps):
        ids = torch.randint(0, VOCAB, (ROWS, CONTEXT + 1))
        hidden = last(layers(table(ids[:, :-1]) + positions.weight))
        logits = functional.linear(hidden, table.weight)
        functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield


def hf(steps: int) -> list[float]:
    """Times at the end of each step of transformers' Trainer."""
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

    times: list[float] = []

    class Clock(TrainerCallback):
        """Notes when a step ends."""

        def on_step_end(self, args, state, control, **others):
            """Called by the Trainer."""
            times.append(time.perf_counter())

    shape = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
    )
    data = torch.randint(0, VOCAB, (steps * ROWS, CONTEXT))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=ROWS,
            max_steps=steps,
            logging_steps=10**6,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            learning_rate=3e-4,
            optim="adamw_torch_fused",
            disable_tqdm=True,
        )
        rows = [{"input_ids": row, "labels": row} for row in data]
        Trainer(model=LlamaForCausalLM(shape), args=arguments, train_dataset=rows, callbacks=[Clock()]).train()
    return times


def dotori(steps: int, precision: str, optimizer: str) -> Iterator[None]:
    """Steps of our loop, bad-step rule and ledger record included; yields after each."""
    keep_freed_memory()
    peaks = {dtype: measured_peak(CPU, dtype) for dtype in (torch.float32, torch.bfloat16)}
    worth = peaks[torch.bfloat16] > 1.5 * peaks[torch.float32]
    dtype = torch.bfloat16 if worth and precision == "auto" else torch.float32
    model = Transformer(config())
    init_weights(model, torch.Generator().manual_seed(0))
    s = TrainSettings(steps=steps, context=CONTEXT, batch_tokens=ROWS * CONTEXT, optimizer=optimizer, lr=1e-3)
    autocast = contextlib.nullcontext if dtype == torch.float32 else lambda: torch.autocast("cpu", dtype)
    run = Run(
        model=model,
        optimizer=make_optimizer(model, model.config.logits_scaling, s, dtype),
        objective=next_token,
        open_data=lambda plan: fetch,
        watch=lambda: ({}, []),
        settings=s,
        micro_rows=ROWS,
        autocast=autocast,
        speed=Speed(CPU, flops_per_token(model.config, CONTEXT), math.inf),
        folder=Path("unused"),
        identity={},
        progress=Progress(),
    )
    starts = (torch.arange(CONTEXT)[None] >= torch.randint(60, 200, (ROWS, 1))).int()

    def fetch(first: int, rows: int) -> Batch:
        ids = torch.randint(0, VOCAB, (rows, CONTEXT + 1))
        return Batch(ids[:, :-1], ids[:, 1:], starts[:rows])

    with RunLog(quiet=True) as log:
        for _ in range(steps):
            take_step(run, fetch, log)
            yield


def times_of(steps: Callable[[], Iterator[None]]) -> list[float]:
    """When each step ended."""
    return [time.perf_counter() for _ in steps()]


def one(way: str, steps: int) -> float:
    """Tokens/s of the median step, warm-up left out."""
    if way == "hf":
        times = hf(steps)
    elif way == "plain":
        times = times_of(lambda: plain(steps))
    else:
        words = way.split()[1:]
        optimizer = "muon" if "muon" in words else "adamw"
        times = times_of(lambda: dotori(steps, "float32" if "float32" in words else "auto", optimizer))
    times = times[max(3, steps // 4) :]
    return ROWS * CONTEXT / median([b - a for a, b in pairwise(times)])


def main() -> None:
    """Runs every way in turns and writes results/train_throughput.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps({"tokens_per_second": one(options.way, options.steps)}))
        return
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            words = ("--way", way, "--steps", str(options.steps))
            found[way].append(round(in_a_process(__file__, *words)["tokens_per_second"], 1))
    rates = {way: median(values) for way, values in found.items()}
    peaks = {name: measured_peak(CPU, getattr(torch, name), 2.0) for name in ("float32", "bfloat16")}
    flops = flops_per_token(config(), CONTEXT)
    result = {
        "tokens_per_second": rates,
        "all_rounds": found,
        "ratio_to_plain": {way: round(rate / rates["plain"], 3) for way, rate in rates.items()},
        "ratio_to_hf": {way: round(rate / rates["hf"], 3) for way, rate in rates.items()},
        "matrix_product_gflops": {name: round(peak / 1e9, 1) for name, peak in peaks.items()},
        "flops_per_token": flops,
        "gflops": {way: round(rate * flops / 1e9, 1) for way, rate in rates.items()},
        "share_of_float32_product": {way: round(r * flops / peaks["float32"], 3) for way, r in rates.items()},
        "share_of_bfloat16_product": {way: round(r * flops / peaks["bfloat16"], 3) for way, r in rates.items()},
    }
    write("train_throughput", result)


if __name__ == "__main__":
    main()
