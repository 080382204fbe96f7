"""Requests to an engine, and their events on the event loop: bounded, cancelled when the client leaves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from starlette.types import Receive

from dotori.model.sampling import Sampling
from dotori.serve.engine import Event, Finish, Full, Piece, Request, Ticket
from dotori.serve.errors import ApiError
from dotori.serve.limits import Limits
from dotori.serve.models import Served

DEFAULT_TEMPERATURE = 0.7
_MASK = (1 << 64) - 1


class _Mark(Enum):
    """Among the events: look whether the client left; nothing happened for a while."""

    WAKE = 1
    BEAT = 2


class Gone(Exception):
    """The client left, or read so slowly that its answer is given up."""


def sampling_of(
    temperature: float | None,
    top_p: float | None,
    top_k: int | None,
    min_p: float | None,
    repetition_penalty: float | None,
    seed: int | None,
) -> Sampling:
    """The settings of a request; without a seed, a new one each time."""
    return Sampling(
        temperature=DEFAULT_TEMPERATURE if temperature is None else float(temperature),
        top_k=top_k or 0,
        top_p=1.0 if top_p is None else max(float(top_p), 1e-9),
        min_p=0.0 if min_p is None else float(min_p),
        repetition_penalty=1.0 if repetition_penalty is None else float(repetition_penalty),
        seed=secrets.randbits(63) if seed is None else seed & _MASK,
    )


def stops_of(stop: str | list[str] | None) -> tuple[str, ...]:
    """Stop strings as the engine takes them."""
    return (stop,) if isinstance(stop, str) else tuple(dict.fromkeys(stop or ()))


@dataclass
class Counts:
    """Tokens of a request, over all its choices."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def add(self, finish: Finish, is_same_prompt: bool) -> None:
        """Adds a choice; a prompt shared by several counts once."""
        self.completion += finish.completion_tokens
        if is_same_prompt:
            self.prompt, self.cached = finish.prompt_tokens, max(self.cached, finish.cached_tokens)
        else:
            self.prompt, self.cached = self.prompt + finish.prompt_tokens, self.cached + finish.cached_tokens

    def usage(self) -> dict[str, object]:
        """The `usage` of chat and text completions."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Generation:
    """The answers to one HTTP request, one per engine request."""

    def __init__(self, served: Served, limits: Limits) -> None:
        self.served, self.counts = served, Counts()
        self._limits, self._loop = limits, asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[int, Event] | _Mark] = asyncio.Queue()
        self._tickets: list[Ticket] = []
        self._waiting_bytes, self._open, self._taken = 0, 0, 0
        self._is_gone = False

    def start(self, requests: Sequence[Request]) -> None:
        """Submits all of `requests` or none; raises ApiError 429 when the queue is full, 400 for what does not fit."""
        try:
            for number, request in enumerate(requests):
                with self.served.errors():
                    self._tickets.append(self.served.engine.submit(request, partial(self._deliver, number)))
        except Full as error:
            self.cancel()
            seconds = max(1, int(error.retry_after))
            raise ApiError(
                429, f"server: the queue is full; try again in {seconds} s", "queue_full", retry_after=seconds
            ) from None
        except ApiError:
            self.cancel()
            raise
        self._open = len(requests)

    def cancel(self) -> None:
        """Frees the slots of what still runs."""
        for ticket in self._tickets:
            ticket.cancel()

    def _deliver(self, number: int, event: Event) -> None:
        """From the engine's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, number, event)

    def _put(self, number: int, event: Event) -> None:
        self._waiting_bytes += _size(event)
        if self._waiting_bytes > self._limits.buffer_bytes:
            self._give_up()
        else:
            self._events.put_nowait((number, event))

    def _give_up(self) -> None:
        """Frees the slots now, and whatever waits to be sent is not."""
        self._is_gone = True
        self.cancel()
        self._events.put_nowait(_Mark.WAKE)

    async def events(self, receive: Receive, heartbeat: float | None = None) -> AsyncIterator[tuple[int, Event] | None]:
        """(choice, event) until every choice has finished; None where `heartbeat` seconds brought nothing.

        Raises Gone when the client leaves; leaving the loop early cancels what still runs.
        """
        watch = asyncio.ensure_future(self._watch(receive))
        beats = None if heartbeat is None else asyncio.ensure_future(self._beat(heartbeat))
        try:
            while self._open:
                item = await self._events.get()
                if self._is_gone:
                    raise Gone
                if isinstance(item, _Mark):
                    yield None
                    continue
                self._taken += 1
                self._waiting_bytes -= _size(item[1])
                self._open -= isinstance(item[1], Finish)
                yield item
        finally:
            watch.cancel()
            if beats is not None:
                beats.cancel()
            self.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._give_up()

    async def _beat(self, seconds: float) -> None:
        while True:
            taken = self._taken
            await asyncio.sleep(seconds)
            if taken == self._taken and self._events.empty():
                self._events.put_nowait(_Mark.BEAT)


def _size(event: Event) -> int:
    if isinstance(event, Piece):
        return 64 + 4 * len(event.text) + sum(64 + 24 * len(token.top) for token in event.tokens)
    return 64


def checked_finish(finish: Finish, constraint: object) -> Finish:
    """`finish`; raises ApiError when the engine failed, stops, or the grammar could not be followed."""
    if error := getattr(constraint, "error", ""):
        reason = " ".join(str(error).split())[:200]
        raise ApiError(400, f"response_format: {reason}; the schema is too involved; simplify it", "invalid_schema")
    if finish.reason in ("error", "expired"):
        code = "timeout" if finish.reason == "expired" else "stopped"
        raise ApiError(503, f"server: {finish.message}; try again later", code, retry_after=5)
    return finish
