"""What a run is made of. Continued with anything else it would end in other weights: that is refused, or recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from dotori import __version__
from dotori.errors import UserError
from dotori.files import sha256_file, sha256_json
from dotori.train.settings import FREE, TrainSettings

# The modules whose code decides the numbers of a run.
_CODE = ("model/*.py", "train/*.py", "data/*.py", "adapt/*.py")


def identity(
    settings: TrainSettings, parts: dict[str, Any], device: torch.device, precision: torch.dtype
) -> dict[str, Any]:
    """A flat JSON object, name -> value; `parts` are the stage's own (data, model, init, objective)."""
    return parts | {
        **{f"settings.{name}": value for name, value in settings_json(settings).items() if name not in FREE},
        "code": code_hash(),
        "dotori": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": str(precision).removeprefix("torch."),
    }


@cache
def code_hash() -> str:
    """Hash of the modules that decide the numbers of a run, as this process found them."""
    source = Path(__file__).parents[1]
    return sha256_json(
        {str(path.relative_to(source)): sha256_file(path) for pattern in _CODE for path in source.glob(pattern)}
    )


def settings_json(settings: TrainSettings) -> dict[str, Any]:
    """The settings as JSON types, every default written out."""
    return TypeAdapter(TrainSettings).dump_python(settings, mode="json")


def changes(before: dict[str, Any], now: dict[str, Any], accepted: Sequence[str], folder: Path) -> list[str]:
    """The accepted changes as `name: old -> new`; raises UserError listing those that were not accepted."""
    changed = {name: (before.get(name), now.get(name)) for name in before.keys() | now.keys()}
    changed = {name: pair for name, pair in sorted(changed.items()) if pair[0] != pair[1]}
    refused = {name: pair for name, pair in changed.items() if name not in accepted}
    if refused:
        names = ", ".join(f'"{name}"' for name in refused)
        raise UserError(
            f"{folder}: the run there was begun otherwise: {'; '.join(_lines(refused))}; only the same run ends in the "
            f"same weights; undo the change, begin anew, or set accept_changes = [{names}], which is recorded"
        )
    return list(_lines(changed))


def _lines(changed: dict[str, tuple[Any, Any]]) -> Iterable[str]:
    for name, (before, now) in changed.items():
        yield f"{name}: {_short(before)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
