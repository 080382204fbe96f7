"""Rows of a dataset folder as batches on the device, in the order that settings and plan decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dotori.data.loader import Loader
from dotori.data.mix import Phase as Mixed
from dotori.train.objective import Batch
from dotori.train.schedule import Plan
from dotori.train.settings import TrainSettings, planned_phases


def open_feed(
    dataset: Path, s: TrainSettings, device: torch.device, plan: Plan | None, seen: list[dict[str, Any]], first: int
) -> Callable[[int, int], Batch]:
    """fetch(first_sample, rows) -> Batch. `seen`: the phases, up to sample `first`, of the run that was branched from.

    Opened again once a plan is made: phases that begin with the decay join then, those before them stay as they were.
    """
    loader = Loader(dataset, s.context, s.seed, sample_phases(s, plan, seen, first))

    def fetch(first_sample: int, rows: int) -> Batch:
        tensors = (torch.from_numpy(array) for array in loader.rows(first_sample, rows))
        if device.type == "cuda":  # pinned memory is copied while the device computes
            return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors))
        return Batch(*tensors)

    return fetch


def sample_phases(s: TrainSettings, plan: Plan | None, seen: list[dict[str, Any]], first: int) -> list[Mixed]:
    """The run's phases by sample number instead of step, those of the branched run before them."""
    earlier = [Mixed(**phase) for phase in seen if phase["start"] < first]
    own = [Mixed(first + step * s.rows, phase.weights, phase.loss_on) for step, phase in planned_phases(s, plan)]
    return earlier + own
