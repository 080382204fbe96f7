"""Several texts that one model on the native core continues together: one reading of the weights serves them all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

import dotori.runtime._core as _core
from dotori.model.sampling import Sampling
from dotori.runtime.session import Session, core_errors


@dataclass(frozen=True)
class Turn:
    """What a slot reads in a step. `wants_logits`: it will choose after the last of `ids`; `sum`: float64 (hidden,), to
    which the final norm's rows of all `ids` are added, for embeddings."""

    slot: int
    ids: Sequence[int]
    wants_logits: bool
    sum: np.ndarray | None = None


class Batch:
    """`slots` texts over the weights of `session`. Used from one thread.

    Attributes: `room` (ids that one step takes at most), `hidden_size`.
    """

    def __init__(self, session: Session, slots: int) -> None:
        self._texts = session.core_sessions(slots)
        self.room: int = session.step_room
        self.hidden_size: int = session.sizes["hidden_size"]

    def begin(self, ids: Sequence[int], free: Collection[int]) -> tuple[int, int]:
        """The slot of `free` that a new text `ids` takes, and how many of its ids need no reading.

        It is the slot whose text shares the longest beginning with `ids`; where any other slot's text shares more,
        that much is copied from it. Not more than all but one id are shared.
        """
        ids = list(ids)
        shared = [text.shared_prefix(ids) for text in self._texts]
        # Among equals the shortest text: what others may come back to stays.
        slot = max(free, key=lambda index: (shared[index], -self._texts[index].length))
        best = max(range(len(shared)), key=lambda index: shared[index])
        text = self._texts[slot]
        if shared[best] > shared[slot]:
            return slot, text.borrow_prefix(self._texts[best], ids)
        return slot, text.keep_prefix(ids)

    def begin_anew(self, slot: int) -> None:
        """Forgets a slot's text."""
        self._texts[slot].keep_prefix([])

    def step(self, turns: Sequence[Turn]) -> None:
        """Reads every turn's ids (at least one each, `room` in all, each slot once) in one pass through the weights.

        Dense models give each text the bits that it would have alone. Raises UserError, with nothing read, for ids
        outside the vocabulary or beyond the context.
        """
        with core_errors():
            _core.step([(self._texts[turn.slot], turn.ids, turn.wants_logits, turn.sum) for turn in turns])

    def logits(self, slot: int) -> np.ndarray:
        """Float32 (vocab,) after the last step that wanted them; `choose` changes them."""
        return self._texts[slot].last_logits()

    def choose(self, slot: int, sampling: Sampling, allowed: np.ndarray | None = None) -> int:
        """The next id of a slot's text, which is not read yet.

        `allowed`: uint32 (at least vocab / 32,), bit i % 32 of word i // 32 tells whether id i may be chosen. Raises
        UserError when none may, or when the logits are not numbers.
        """
        s = sampling
        with core_errors():
            return self._texts[slot].choose(
                s.temperature, s.top_k, s.top_p, s.min_p, s.repetition_penalty, s.seed, allowed
            )
