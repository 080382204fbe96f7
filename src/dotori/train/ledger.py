"""The run's metrics: JSON lines in metrics.jsonl, and TensorBoard where it is asked for.

{"kind": "step", "step", "loss", "lr", "grad_norm", "tokens", "tokens_per_second", "utilisation", "memory_bytes",
 "skipped"?}                                     loss in nats per trained token; step counts from 0
{"kind": "validation", "step", "bits_per_byte": {language: figure}}
{"kind": "sample", "step", "prompt", "text"}
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from dotori.errors import UserError
from dotori.files import disk_errors


class Ledger:
    """Appends to `folder`/metrics.jsonl; what a resumed run repeats was cut off by resume.restore_ledger."""

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.path = folder / "metrics.jsonl"
        self._board = _board(folder / "tensorboard") if tensorboard else None
        with disk_errors(self.path):
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        if self._board is not None:
            self._board.close()

    def write(self, kind: str, record: dict[str, Any]) -> None:
        """Writes one line; raises DiskError when the disk refuses."""
        line = (json.dumps({"kind": kind} | record, ensure_ascii=False) + "\n").encode()
        with disk_errors(self.path):
            while line:
                line = line[os.write(self._file, line) :]
        if self._board is not None:
            for name, value in _numbers(record):
                self._board.add_scalar(f"{kind}/{name}", value, record["step"])


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """All lines of a metrics.jsonl."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _numbers(record: dict[str, Any]) -> list[tuple[str, float]]:
    flat = [(name, value) for name, value in record.items() if name != "step"]
    flat += [
        (f"{name}/{key}", value) for name, inner in flat if isinstance(inner, dict) for key, value in inner.items()
    ]
    return [(name, value) for name, value in flat if isinstance(value, int | float)]


def _board(folder: Path) -> Any:
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    except ImportError:
        raise UserError(
            "train.tensorboard: the tensorboard package is not installed; it is optional; "
            "pip install 'dotori[track]' (in a checkout: pip install -c constraints.txt -e '.[track]'), or set "
            "tensorboard to false"
        ) from None
