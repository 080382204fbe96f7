"""A real run that is small: a model of two layers on rows of numbers that follow a rule, learnt in milliseconds."""

import contextlib
import math
from pathlib import Path

import torch

from dotori.model.config import mup_config
from dotori.model.count import flops_per_token
from dotori.model.init import init_weights
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.train.identity import identity
from dotori.train.loop import Run, train
from dotori.train.objective import Batch, next_token
from dotori.train.optim import make_optimizer
from dotori.train.resume import Progress, latest, restore, restore_ledger
from dotori.train.settings import TrainSettings
from dotori.train.speed import Speed

VOCAB, CONTEXT = 37, 16
CPU = torch.device("cpu")


def tiny_model(seed=0):
    config = mup_config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
    )
    model = Transformer(config)
    init_weights(model, torch.Generator().manual_seed(seed))
    return model


def rows(first, count):
    """Row i is a walk through the vocabulary by a stride that i decides; a pure function of the sample number."""
    sample = torch.arange(first, first + count)[:, None]
    ids = (sample * 7 + torch.arange(CONTEXT + 1)[None] * (1 + sample % 5)) % VOCAB
    documents = (torch.arange(CONTEXT)[None] >= 3 + sample % 9).int()
    targets = ids[:, 1:].clone()
    targets[:, -1] = torch.where(sample[:, 0] % 3 == 0, -100, targets[:, -1])
    return Batch(ids[:, :-1], targets, documents)


def noisy_next_token(model, batch):
    """The next-token objective with words left out at random: a step then depends on the random generator too."""
    left = torch.where(torch.rand(batch.targets.shape) < 0.2, -100, batch.targets)
    return next_token(model, batch._replace(targets=left))


def tiny_settings(**changed):
    given = {"steps": 24, "context": CONTEXT, "batch_tokens": 8 * CONTEXT, "warmup_steps": 2, "save_every": 5}
    return TrainSettings(**(given | {"decay_share": 0.5} | changed))


def make_run(folder: Path, settings=None, objective=noisy_next_token, fetch=rows, micro_rows=8, watch=None):
    """A Run in `folder`, continued from what is there."""
    settings = settings or tiny_settings()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    model = tiny_model()
    optimizer = make_optimizer(model, 32 / 256, settings, torch.float32)
    checkpoint = latest(folder, lambda text: None)
    restore_ledger(checkpoint, folder)
    return Run(
        model=model,
        optimizer=optimizer,
        objective=objective,
        open_data=lambda plan: fetch,
        watch=watch or (lambda: ({"ko": 1.0}, [])),
        settings=settings,
        micro_rows=micro_rows,
        autocast=contextlib.nullcontext,
        speed=Speed(CPU, flops_per_token(model.config, CONTEXT), math.inf),
        folder=folder,
        identity=identity(settings, {}, CPU, torch.float32),
        progress=restore(checkpoint, model, optimizer) if checkpoint else Progress(),
    )


def run_to_end(run, stop=lambda: None):
    train(run, RunLog(quiet=True), stop)
    return run
