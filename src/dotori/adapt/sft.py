"""Instruction tuning: the training loop on chat rows, with the loss on what the assistant says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotori.checkpoint.lineage import Proof
from dotori.data.loader import IGNORED, Loader, read_manifest
from dotori.data.mix import Phase
from dotori.errors import UserError
from dotori.runlog import RunLog
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.train.settings import TrainSettings
from dotori.train.stage import train_to

_INSPECTED_ROWS = 256


@dataclass(frozen=True)
class MaskExample:
    """One conversation as (text, is learnt) stretches, its own share of learnt tokens, and that of `rows` rows."""

    stretches: list[tuple[str, bool]]
    share: float
    rows: int
    total_share: float


def inspect_mask(data: Path, context: int, tokenizer: Tokenizer) -> MaskExample:
    """What SFT learns in the chat domains of a dataset, on its first rows.

    Raises UserError when nothing or everything is learnt, or there is no chat domain.
    """
    chats = [name for name, entry in read_manifest(data)["domains"].items() if entry["format"] == "chat"]
    if not chats:
        raise UserError(f'{data}: no chat domain; SFT learns from conversations; build one with format = "chat"')
    loader = Loader(data, context, 0, [Phase(0, dict.fromkeys(chats, 1.0), "assistant")])
    ids, targets, documents = loader.rows(0, _INSPECTED_ROWS)
    learnt = targets != IGNORED
    could_be = (documents[:, :-1] >= 0) & (documents[:, :-1] == documents[:, 1:])
    total = float(learnt.sum() / could_be.sum())
    if not 0 < total < 1:
        what = "nothing" if total == 0 else "everything"
        raise UserError(
            f"{data}: the mask has {what} to learn in {len(ids)} rows; answers must be learnt and questions not; "
            "check the roles of the messages and the chat template"
        )
    row = int(np.argmax(learnt.any(axis=1)))
    mine = documents[row] == 0
    shown, on = ids[row][mine], np.concatenate([[False], learnt[row][mine][:-1]])
    return MaskExample(_stretches(tokenizer, shown, on), float(on.mean()), len(ids), total)


def _stretches(tokenizer: Tokenizer, ids: np.ndarray, on: np.ndarray) -> list[tuple[str, bool]]:
    names = {index: name for name, index in tokenizer.special.items()}
    stretches: list[tuple[str, bool]] = []
    start = 0
    for at in range(1, len(ids) + 1):
        if at == len(ids) or on[at] != on[start]:
            stretches.append((_spelled(tokenizer, names, ids[start:at].tolist()), bool(on[start])))
            start = at
    return stretches


def _spelled(tokenizer: Tokenizer, names: dict[int, str], ids: list[int]) -> str:
    text, run = "", list[int]()
    for index in ids:
        if index in names:
            text, run = text + tokenizer.decode(run) + names[index], []
        else:
            run.append(index)
    return text + tokenizer.decode(run)


def sft_stage(s: TrainSettings, init: Path, data: Path, out: Path, log: RunLog, stop: Callable[[], str | None]) -> None:
    """Tunes the model in `init` on the conversations of `data`; raises what train_stage does, and for a bad mask."""
    found = inspect_mask(data, s.context, load_tokenizer(data / "tokenizer"))
    shown = "".join(f"[{text}]" if is_learnt else text for text, is_learnt in found.stretches)
    log.say(
        f"sft: learnt in [brackets], {found.share:.0%} of this example, {found.total_share:.0%} of {found.rows} rows:"
    )
    log.say(shown)
    how = f"share of tokens learnt in the first {found.rows} chat rows; neither none nor all"
    mask = Proof("loss mask", found.total_share, "0 < share < 1", 0 < found.total_share < 1, how)
    train_to(s, init, data, out, log, stop, "sft", (mask,))
