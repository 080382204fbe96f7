"""Bits per byte of held-out text by language: the loss of every token but BOS over the documents' UTF-8 bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dotori.data.loader import IGNORED, Window, held_out_answers, validation, validation_languages
from dotori.model.transformer import Transformer
from dotori.tokenizer.load import Tokenizer
from dotori.train.losses import linear_cross_entropy

# Tokens of one forward pass, padding included.
_BATCH_TOKENS = 8192


def bits_per_byte(model: Transformer, dataset: Path, context: int, max_bytes: int) -> dict[str, float]:
    """Figures by language over at most about `max_bytes` of its validation documents, in the precision that is set.

    Deterministic: the same documents and windows every time. Documents start after BOS; long ones go on in windows with
    half a context before what is scored.
    """
    found = {}
    for language in validation_languages(dataset):
        text = validation(dataset, language, context, max_bytes)
        found[language] = total_loss(model, text.windows) / math.log(2) / text.bytes
    return found


@torch.inference_mode()
def total_loss(model: Transformer, windows: list[Window]) -> float:
    """Sum of -log p over the scored tokens of `windows`, in nats."""
    device, total = model.output_weight.device, 0.0
    order = sorted(range(len(windows)), key=lambda index: len(windows[index].ids))
    for group in _groups([windows[index] for index in order]):
        ids, targets = (torch.from_numpy(array).to(device) for array in _padded(group))
        hidden = model.hidden(ids)  # padding stands behind the text, so a causal mask hides it
        total += _summed_loss(model, hidden, targets)
    return total


@torch.inference_mode()
def answers_bits_per_byte(
    model: Transformer, tokenizer: Tokenizer, dataset: Path, context: int, domains: Sequence[str], most_rows: int = 64
) -> float | None:
    """Bits per byte of the assistant's words in held-out conversations; None where the dataset holds none back."""
    device = model.output_weight.device
    lengths = np.array([len(tokenizer.token_bytes(index)) for index in range(model.config.vocab_size)])
    lengths[list(tokenizer.special.values())] = 0
    total, size = 0.0, 0
    for batch in held_out_answers(dataset, context, domains, most_rows):
        ids, targets, documents = (torch.from_numpy(array).to(device) for array in batch)
        total += _summed_loss(model, model.hidden(ids, documents), targets)
        size += int(lengths[batch.targets[batch.targets != IGNORED]].sum())
    return total / math.log(2) / size if size else None


def _summed_loss(model: Transformer, hidden: torch.Tensor, targets: torch.Tensor) -> float:
    """Sum of -log p in nats; the head runs on scored positions alone, which are half of most windows."""
    scored = targets != IGNORED
    scale = 1 / model.config.logits_scaling
    return linear_cross_entropy(hidden[scored], model.output_weight, targets[scored], scale).item()


def _groups(windows: list[Window]) -> list[list[Window]]:
    """Windows sorted by length, in runs that fill a batch."""
    groups: list[list[Window]] = []
    for window in windows:
        if groups and (len(groups[-1]) + 1) * len(window.ids) <= _BATCH_TOKENS:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


def _padded(windows: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """ids and targets (B, T) int64; a target is -100 where another window scores it or no text is left."""
    longest = max(len(window.ids) for window in windows) - 1
    ids = np.zeros((len(windows), longest), dtype=np.int64)
    targets = np.full((len(windows), longest), IGNORED, dtype=np.int64)
    for row, (tokens, first) in enumerate(windows):
        ids[row, : len(tokens) - 1] = tokens[:-1]
        targets[row, first - 1 : len(tokens) - 1] = tokens[first:]
    return ids, targets
