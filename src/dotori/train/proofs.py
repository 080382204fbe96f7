"""What a training stage proves about itself before its folder gets its name."""

from __future__ import annotations

import torch

from dotori.errors import UserError
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.train.ledger import read_ledger
from dotori.train.loop import Run, take_step
from dotori.train.objective import Batch
from dotori.train.resume import read, restore, step_folder, weights


def repeated_step(run: Run) -> tuple[float, float]:
    """Repeats the last step from the checkpoint before it: |loss difference|, largest |weight difference|.

    On a CPU both must be 0. The weights of the finished run are put back afterwards.
    """
    finished = {name: tensor.clone() for name, tensor in weights(run.model).items()}
    progress, plan = run.progress, run.progress.plan
    assert plan is not None
    checkpoint = read(step_folder(run.folder, plan.total - 1))
    steps = [line for line in read_ledger(run.folder / "metrics.jsonl") if line["kind"] == "step"]
    if not steps or steps[-1]["step"] != plan.total - 1:
        raise UserError(f"{run.folder}: metrics.jsonl does not end with the last step; it was altered; begin anew")
    run.progress = restore(checkpoint, run.model, run.optimizer)
    record = take_step(run, run.open_data(plan), RunLog(quiet=True))
    loss = 0.0 if record["loss"] == steps[-1]["loss"] else abs((record["loss"] or 0.0) - (steps[-1]["loss"] or 0.0))
    difference = max((tensor - finished[name]).abs().max().item() for name, tensor in weights(run.model).items())
    with torch.no_grad():
        for name, tensor in weights(run.model).items():
            tensor.copy_(finished[name])
    run.progress = progress
    return loss, difference


@torch.inference_mode()
def packed_difference(model: Transformer, batch: Batch) -> float:
    """Largest |logit difference| between documents packed in one row and each of them alone in its own.

    Only rows with a target are looked at; the row with most documents is taken.
    """
    counts = [len(set(row.tolist())) for row in batch.documents]
    ids, documents = (part[counts.index(max(counts))][None] for part in (batch.ids, batch.documents))  # (1, T)
    packed = model(ids, documents)[0]  # (T, V)
    worst = 0.0
    for number in documents.unique().tolist():
        place = (documents[0] == number).nonzero()[:, 0]
        if number < 0:
            continue  # padding
        alone = model(ids[:, place])[0]
        worst = max(worst, (packed[place] - alone).abs().max().item())
    return worst
