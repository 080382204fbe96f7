"""Requests to stop: Ctrl-C, SIGTERM, a closed terminal, or the end of a time slice."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_requests(stop_after: float | None) -> Iterator[Callable[[], str | None]]:
    """Yields a function that says why the work should end after the step at hand, or None while it should go on.

    The first signal is caught so that the work can be saved; the second one ends the process at once. `stop_after` is
    in seconds from now. Outside the main thread only the time counts, because Python handles signals nowhere else.
    """
    received: list[signal.Signals] = []
    end = math.inf if stop_after is None else time.monotonic() + stop_after

    def handle(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(signal.Signals(number))

    def reason() -> str | None:
        if received:
            return f"stopped by {received[0].name}"
        return f"the time slice of {stop_after:g} s is over" if time.monotonic() >= end else None

    if threading.current_thread() is not threading.main_thread():
        yield reason
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield reason
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
