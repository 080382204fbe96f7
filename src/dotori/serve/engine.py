"""Continuous batching: one thread that continues the texts of many requests in common steps.

Each step reads one token of every answer under way and, in what room is left, a piece of the prompts that are still to
be read, so that a long prompt holds nobody up for long. A finished text stays in its slot: the next turn of the same
conversation, and others with the same beginning, read only what is new.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from dotori.errors import UserError
from dotori.model.sampling import Sampling
from dotori.runtime.batch import Batch, Turn
from dotori.runtime.session import Session
from dotori.serve.fair_queue import FairQueue
from dotori.serve.reply import Event, Finish, Piece, Reply, Request, TokenInfo

# Seconds that a step may take, where answers wait for it: sizes the pieces of prompts read beside them.
_STEP_SECONDS = 0.05
_SMALLEST_PIECE = 16
_GREEDY = Sampling()


class Full(Exception):
    """The queue is full, or the engine is closing; `retry_after` seconds may help."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after} s")
        self.retry_after = retry_after


class Ticket:
    """A request on its way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_cancelled = False

    def cancel(self) -> None:
        """Ends it within a token; its Finish says "cancelled". From any thread, any number of times."""
        self.is_cancelled = True
        self._engine.wake()


class _Run:
    """A request in a slot, or waiting for one."""

    def __init__(self, request: Request, deliver: Callable[[Event], None], ticket: Ticket, reply: Reply) -> None:
        self.request, self.deliver, self.ticket, self.reply = request, deliver, ticket, reply
        self.slot, self.cached, self.made = -1, 0, 0
        self.unread: Sequence[int] = request.prompt
        self.sum: np.ndarray | None = None
        self.begun, self.first = time.monotonic(), 0.0

    @property
    def is_reading(self) -> bool:
        """Whether its prompt is not read yet."""
        return self.made == 0


class Engine:
    """The requests of one model. Attributes: `session` (tokenizer, chat template, context), `name`, `context`.

    `slots`: texts that go on together; `queue`: requests that may wait; `patience`: seconds that one waits at most.
    """

    def __init__(self, session: Session, slots: int = 8, queue: int = 128, patience: float = 60.0) -> None:
        """Takes cache memory for `slots` contexts, as they fill. Raises UserError when there is too little."""
        self.session, self.context, self.slots = session, session.context, slots
        self.name = session.path.stem
        self._queue, self.patience = queue, patience
        self._batch = Batch(session, slots)
        self._ends = frozenset(session.stop_ids)
        self._free, self._running = set(range(slots)), []  # type: tuple[set[int], list[_Run]]
        self._waiting = FairQueue()
        self._changed = threading.Condition()
        self._ends_at: float | None = None
        self._seconds_per_id, self._seconds_per_request = 0.0, 1.0
        self._counts = {"requests": 0, "prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "steps": 0}
        self._thread = threading.Thread(target=self._serve, name=f"engine {self.name}", daemon=True)
        self._thread.start()

    def submit(self, request: Request, deliver: Callable[[Event], None]) -> Ticket:
        """Queues a request. `deliver` is called from the engine's thread with each Piece and at last with a Finish.

        Raises Full, and UserError for ids outside the vocabulary or a prompt and max_tokens beyond the context.
        """
        if request.max_tokens < 1:
            raise UserError(f"max_tokens: {request.max_tokens}; 1 or more; correct it")
        self.session.check_prompt(list(request.prompt), request.max_tokens)
        ticket = Ticket(self)
        self._enqueue(_Run(request, deliver, ticket, Reply(self.session.tokenizer, request.stop)))
        return ticket

    def embed(self, ids: Sequence[int], client: str = "") -> np.ndarray:
        """The mean of the final norm's rows of all `ids`, scaled to length 1: float32 (hidden,).

        Waits for its turn. Raises Full and UserError as `submit` does, TimeoutError where it waits too long.
        """
        self.session.check_prompt(list(ids), 0)
        done: Future[Finish] = Future()

        def deliver(event: Event) -> None:
            if isinstance(event, Finish):
                done.set_result(event)

        request = Request(tuple(ids), 0, _GREEDY, client=client)
        run = _Run(request, deliver, Ticket(self), Reply(self.session.tokenizer, ()))
        run.sum = np.zeros(self._batch.hidden_size)
        self._enqueue(run)
        finish = done.result()
        if finish.reason == "expired":
            raise TimeoutError(finish.message)
        if finish.reason != "stop":
            raise UserError(f"embedding: {finish.message or finish.reason}")
        return (run.sum / max(float(np.linalg.norm(run.sum)), 1e-30)).astype(np.float32)

    def state(self) -> dict[str, int]:
        """Figures for a monitor: slots, active, waiting, and totals since the start."""
        with self._changed:
            return {"slots": self.slots, "active": len(self._running), "waiting": len(self._waiting), **self._counts}

    def close(self, drain: float = 0.0) -> None:
        """Refuses what is new, lets what was accepted end for `drain` seconds, then ends the rest with an error."""
        with self._changed:
            self._ends_at = time.monotonic() + drain
            self._changed.notify()
        self._thread.join()

    def wake(self) -> None:
        """Makes the engine look at its tickets."""
        with self._changed:
            self._changed.notify()

    def _enqueue(self, run: _Run) -> None:
        with self._changed:
            if self._ends_at is not None or len(self._waiting) >= self._queue:
                raise Full(max(1, min(60, round(self._seconds_per_request * (1 + len(self._waiting) / self.slots)))))
            self._waiting.push(run.request.client, run)
            self._changed.notify()

    # What follows runs in the engine's thread.

    def _serve(self) -> None:
        try:
            while self._has_work():
                self._admit()
                for run in [run for run in self._running if run.ticket.is_cancelled]:
                    self._end(run, "cancelled")
                if turns := self._plan():
                    self._step(turns)
        finally:  # after a bug nobody may wait for ever
            with self._changed:
                self._ends_at = 0.0
                left = [*self._running, *self._waiting.take(lambda run: True)]
            for run in left:
                self._end(run, "error")

    def _has_work(self) -> bool:
        """Waits until there is something to do; False when the engine is closed and empty."""
        with self._changed:
            while not self._running and not len(self._waiting):
                if self._ends_at is not None:
                    return False
                self._changed.wait()
            late = self._ends_at is not None and time.monotonic() > self._ends_at
            lost = self._waiting.take(lambda run: late or run.ticket.is_cancelled or self._has_expired(run))
        for run in lost:
            self._end(run, "error" if late else "cancelled" if run.ticket.is_cancelled else "expired")
        for run in list(self._running) if late else []:
            self._end(run, "error")
        return True

    def _has_expired(self, run: _Run) -> bool:
        return time.monotonic() - run.begun > self.patience

    def _admit(self) -> None:
        while self._free:
            with self._changed:
                if not len(self._waiting):
                    return
                run = self._waiting.pop()
                self._running.append(run)
            if run.sum is None:
                run.slot, run.cached = self._batch.begin(run.request.prompt, self._free)
                run.unread = run.request.prompt[run.cached :]
            else:  # every row is needed: nothing may come from a text that was read before
                run.slot, _ = self._batch.begin(run.request.prompt[:1], self._free)
                self._batch.begin_anew(run.slot)
            self._free.discard(run.slot)

    def _plan(self) -> list[tuple[_Run, Turn]]:
        """A token of every answer, then pieces of prompts, first come first served."""
        answers = [run for run in self._running if not run.is_reading]
        turns = [(run, Turn(run.slot, run.unread, True)) for run in answers]
        room = self._batch.room - len(turns)
        if answers and self._seconds_per_id:
            room = min(room, max(_SMALLEST_PIECE, int(_STEP_SECONDS / self._seconds_per_id)))
        for run in self._running:
            if run.is_reading and room > 0:
                piece = run.unread[:room]
                is_last = len(piece) == len(run.unread)
                turns.append((run, Turn(run.slot, piece, is_last and run.sum is None, run.sum)))
                room -= len(piece)
        return turns

    def _step(self, turns: list[tuple[_Run, Turn]]) -> None:
        started = time.monotonic()
        try:
            self._batch.step([turn for _, turn in turns])
        except UserError as error:
            for run, _ in turns:
                self._end(run, "error", str(error))
            return
        count = sum(len(turn.ids) for _, turn in turns)
        if count >= _SMALLEST_PIECE:
            latest = (time.monotonic() - started) / count
            self._seconds_per_id = latest if not self._seconds_per_id else 0.8 * self._seconds_per_id + 0.2 * latest
        self._counts["steps"] += 1
        for run, turn in turns:
            if run.is_reading:
                run.unread = run.unread[len(turn.ids) :]
            if turn.wants_logits:
                self._choose(run)
            elif run.sum is not None and not run.unread:
                self._end(run, "stop")

    def _choose(self, run: _Run) -> None:
        """The run's next id: delivered, and then read by the next step unless it is the last."""
        request = run.request
        constraint, allowed, logits = request.constraint, None, None
        try:
            if constraint is not None:
                allowed = constraint.bitmask()
            if request.top_logprobs is not None:
                logits = self._batch.logits(run.slot)
            index = self._batch.choose(run.slot, request.sampling, allowed)
            is_end = index in self._ends and not request.ignore_eos
            if constraint is not None and not is_end:
                constraint.accept(index)
        except UserError as error:
            return self._end(run, "error", str(error))
        if run.made == 0:
            run.first = time.monotonic() - run.begun
        if is_end:
            return self._end(run, "stop")
        run.made, run.unread = run.made + 1, (index,)
        token = None if logits is None else self._token(index, logits, request.top_logprobs or 0)
        self._deliver(run, run.reply.push(index, token))
        if run.reply.stopped or (constraint is not None and constraint.is_done):
            self._end(run, "stop")
        elif run.made == request.max_tokens:
            self._end(run, "length")
        return None

    def _token(self, index: int, logits: np.ndarray, count: int) -> TokenInfo:
        scaled = logits.astype(np.float64) - logits.max()
        scaled -= np.log(np.exp(scaled).sum())
        best = np.argpartition(-scaled, min(count, len(scaled) - 1))[:count]
        top = tuple((int(i), float(scaled[i])) for i in best[np.argsort(-scaled[best], kind="stable")])
        return TokenInfo(index, self.session.tokenizer.token_bytes(index), float(scaled[index]), top)

    def _deliver(self, run: _Run, event: Event | None) -> None:
        if event is None:
            return
        try:
            run.deliver(event)
        except Exception:  # whoever listened is gone; the engine goes on for the others
            run.ticket.is_cancelled = True

    def _end(self, run: _Run, reason: str, message: str = "") -> None:
        """Frees the slot and says why."""
        with self._changed:
            if run in self._running:
                self._running.remove(run)
        if run.slot >= 0:
            self._free.add(run.slot)
        if not run.reply.stopped:
            self._deliver(run, run.reply.finish())
        seconds = time.monotonic() - run.begun
        if not message and reason in ("error", "expired"):
            message = "the server is closing" if reason == "error" else f"waited {seconds:.0f} s for a turn"
        with self._changed:
            counts = self._counts
            counts["requests"] += 1
            counts["prompt_tokens"] += len(run.request.prompt) if run.slot >= 0 else 0
            counts["cached_tokens"] += run.cached
            counts["completion_tokens"] += run.made
            self._seconds_per_request += 0.1 * (seconds - self._seconds_per_request)
        finish = Finish(reason, len(run.request.prompt), run.made, run.cached, message, run.first, seconds)
        self._deliver(run, finish)


__all__ = ["Engine", "Event", "Finish", "Full", "Piece", "Request", "Ticket", "TokenInfo"]
