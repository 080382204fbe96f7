"""Checkpoint averaging: the mean of a trunk's last stable weights in place of a decay (WSM, arXiv 2507.17634)."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from dotori.checkpoint.folder import read_model, write_model
from dotori.checkpoint.lineage import Lineage, folder_hash, read_lineage
from dotori.errors import UserError
from dotori.model.count import parameters
from dotori.tokenizer.load import load_tokenizer
from dotori.train.identity import settings_json
from dotori.train.settings import TrainSettings
from dotori.train.validate import bits_per_byte


def average_stage(s: TrainSettings, members: list[Path], data: Path, out: Path) -> None:
    """Writes the model folder `out`: the weights of the `members`' stable checkpoints, averaged, and their figure."""
    if len(members) < 2:
        raise UserError(f"average: {len(members)} checkpoint; two at least have a mean; name more")
    started = time.monotonic()
    model, config = read_model(members[-1])
    states = [load_file(member / "stable" / "weights.safetensors") for member in members]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
    with torch.autocast("cpu", torch.bfloat16, enabled=s.precision == "bf16"):
        figures = bits_per_byte(model, data, s.context, s.validation_bytes)
    last = read_lineage(members[-1])
    lineage = Lineage(
        stage="average",
        settings=settings_json(s),
        seed=s.seed,
        parents={f"member {number}": folder_hash(member) for number, member in enumerate(members)},
        data=last.data,
        tokens_seen=last.tokens_seen,
        metrics={
            "parameters": parameters(config),
            "bits_per_byte": figures,
            "tokens": 0,
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    write_model(out, model, load_tokenizer(data / "tokenizer"), lineage)
