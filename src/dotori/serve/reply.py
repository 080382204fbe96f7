"""What a request asks of the engine, and the text that comes back: whole characters, cut before stop strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dotori.model.sampling import Sampling
from dotori.tokenizer.load import Tokenizer
from dotori.tokenizer.stream import StreamDecoder


class Constraint(Protocol):
    """What may come next in one answer; used from the engine's thread. Methods may raise UserError, which ends it."""

    def bitmask(self) -> np.ndarray:
        """uint32 (at least vocab / 32,): bit i % 32 of word i // 32 tells whether id i may come next."""
        ...

    def accept(self, index: int) -> None:
        """Takes an id that the mask allowed."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether nothing but the end may follow."""
        ...


@dataclass(frozen=True)
class Request:
    """One text to continue. `top_logprobs`: None gives no log-probabilities, else how many others beside the chosen
    id's. `client`: whose turn it is; clients take turns. The sampling's seed gives the draws of a session alone."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    top_logprobs: int | None = None
    constraint: Constraint | None = None
    client: str = ""


@dataclass(frozen=True)
class TokenInfo:
    """An id, its bytes, its log-probability (natural, at temperature 1, before any penalty or constraint) and the
    likeliest ids with theirs."""

    id: int
    text_bytes: bytes
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Piece:
    """Text that is certain now, and the tokens that it came with, where the request asked for them."""

    text: str
    tokens: tuple[TokenInfo, ...] = ()


@dataclass(frozen=True)
class Finish:
    """The end. reason: stop (its own end, a stop string, a constraint that is complete), length (max_tokens),
    cancelled, expired (waited too long for its turn), error; `message` explains the last two."""

    reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    message: str = ""
    seconds_to_first: float = 0.0
    seconds: float = 0.0


Event = Piece | Finish


class Reply:
    """Ids in, pieces out."""

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
        self._decoder, self._stop = StreamDecoder(tokenizer), stop
        self._held, self._tokens = "", []  # type: tuple[str, list[TokenInfo]]
        self.stopped = False

    def push(self, index: int, token: TokenInfo | None) -> Piece | None:
        """What `index` makes certain; `stopped` when it completed a stop string, after which nothing may come."""
        self._held += self._decoder.push(index)
        if token is not None:
            self._tokens.append(token)
        places = [place for place in (self._held.find(stop) for stop in self._stop) if place >= 0]
        if places:
            self.stopped = True
            return self._release(min(places))
        return self._release(len(self._held) - self._begun())

    def finish(self) -> Piece | None:
        """What was still held back, when the text ended otherwise than by a stop string."""
        self._held += self._decoder.finish()
        return self._release(len(self._held)) or (Piece("", tuple(self._tokens)) if self._tokens else None)

    def _begun(self) -> int:
        """The length of the longest ending that begins a stop string."""
        lengths = (n for stop in self._stop for n in range(1, len(stop)) if self._held.endswith(stop[:n]))
        return max(lengths, default=0)

    def _release(self, characters: int) -> Piece | None:
        if characters == 0 and not self.stopped:
            return None
        text, self._held = self._held[:characters], self._held[characters:]
        tokens, self._tokens = tuple(self._tokens), []
        return Piece(text, tokens) if text or tokens else None
