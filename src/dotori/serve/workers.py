"""Threads for work that would hold up the event loop: few of them, with a short queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from dotori.serve.errors import ApiError

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Workers:
    """`threads` threads; beyond `queue` waiting calls, further ones are refused with 503."""

    def __init__(self, threads: int, queue: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"dotori-{name}")
        self._most, self._busy = threads + queue, 0

    @property
    def busy(self) -> int:
        """Calls that run or wait."""
        return self._busy

    async def run(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """`function`'s result, computed in a thread. Raises ApiError 503 when too many wait."""
        if self._busy >= self._most:
            raise ApiError(503, "server: too many requests are being prepared; try again soon", "busy", retry_after=1)
        self._busy += 1
        future = self._pool.submit(function, *arguments)
        # Counted until the thread is free again, also when nobody waits for the result any more.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _on(loop, self._freed))
        return await asyncio.wrap_future(future)

    def _freed(self) -> None:
        self._busy -= 1

    def close(self) -> None:
        """Takes no more work and forgets what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _on(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
