"""Server-sent events as OpenAI's clients read them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import Receive, Scope, Send

from dotori.serve.errors import ApiError
from dotori.serve.generation import Generation, Gone

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": waiting\n\n"


def dumped(value: Any) -> bytes:
    """Compact JSON, Korean readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def data_event(value: Any) -> bytes:
    """An unnamed event."""
    return b"data: " + dumped(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """An event named by its `type`."""
    return b"event: " + value["type"].encode() + b"\ndata: " + dumped(value) + b"\n\n"


class EventStream:
    """An answer made of events; an error after the first one becomes the last event."""

    def __init__(self, events: AsyncIterator[bytes], generation: Generation) -> None:
        """`events` come from `generation`, which is cancelled when they are not all sent."""
        self._events, self._generation = events, generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends all events; breaks off when the client has left or cannot keep up."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        except ApiError as error:
            await send({"type": "http.response.body", "body": data_event(error.body()), "more_body": True})
        except Gone:
            # Not ended in order: nobody may take half an answer for a whole one.
            if (connection := scope.get("state", {}).get("connection")) is not None:
                connection.abort()
            await asyncio.sleep(0)
            return
        finally:
            # A generator that was never begun does not clean up behind itself.
            self._generation.cancel()
            await self._events.aclose()  # type: ignore[attr-defined]
        await send({"type": "http.response.body", "body": b"", "more_body": False})
