"""One TCP connection: uvicorn's HTTP/1.1 protocol, and around it what uvicorn leaves open.

A deadline for headers (uvicorn waits for ever), room for newcomers when idle connections fill the server, errors in
our shape, and an end for connections whose reader stalls.
"""

from __future__ import annotations

import asyncio
import json
import socket
from functools import partial
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dotori.serve.errors import ApiError
from dotori.serve.service import Service


class Connections:
    """All connections of a server; `waiting` are those whose next request is not whole yet, longest waiting first."""

    def __init__(self, service: Service, most: int) -> None:
        self.service, self.most = service, most
        self.waiting: dict[Connection, None] = {}
        self.count = 0

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        """What uvicorn calls for each new connection."""
        return Connection(self, partial(H11Protocol, config, server_state), app_state)


class Connection:
    """An asyncio protocol that hands on to uvicorn's."""

    def __init__(self, all_of_them: Connections, make: partial[H11Protocol], app_state: dict[str, Any]) -> None:
        self._all = all_of_them
        self._inner = make({**app_state, "connection": self})
        # Its own answer is plain text, and breaks off when an answer has already begun.
        self._inner.send_400_response = self._refuse  # type: ignore[method-assign,assignment]
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cycle: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: it has so long to send its headers."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        everyone = self._all
        everyone.count += 1
        if (plug := transport.get_extra_info("socket")) is not None:
            _notice_silent_clients(plug, everyone.service.limits.stall_seconds)
        if everyone.count > everyone.most:
            everyone.service.metrics.dropped_connections += 1
            if everyone.waiting:
                next(iter(everyone.waiting)).abort()
            else:
                busy = ApiError(503, "server: too many connections; try again soon", "busy", retry_after=1)
                self._inner.connection_made(transport)
                self._answer(busy, "503 Service Unavailable")
                return
        self._inner.connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; with its last header the deadline ends."""
        if self._transport is None or self._transport.is_closing():
            return
        self._inner.data_received(data)
        if self._inner.cycle is not self._cycle:
            self._cycle = self._inner.cycle
            self._wait_no_more()
        elif self._timer is None and (self._inner.cycle is None or self._inner.cycle.response_complete):
            self._wait()

    def eof_received(self) -> bool | None:
        """The client sends no more: it has left."""
        self._inner.eof_received()
        return None

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self._wait_no_more()
        self._all.count -= 1
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """The client reads slower than we send."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._inner.resume_writing()

    def abort(self) -> None:
        """Ends the connection without sending what it still owes."""
        self._wait_no_more()
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport is None or self._transport.is_closing()

    def _wait(self) -> None:
        self._all.waiting[self] = None
        seconds = self._all.service.limits.header_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._too_slow)

    def _wait_no_more(self) -> None:
        self._all.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._all.service.metrics.dropped_connections += 1
        self.abort()

    def _refuse(self, message: str) -> None:
        """In place of uvicorn's answer to what is no HTTP."""
        cycle = self._inner.cycle
        if self._transport is None or (cycle is not None and cycle.response_started and not cycle.response_complete):
            self.abort()
            return
        most = self._all.service.limits.header_bytes
        error = ApiError(400, f"request: no HTTP/1.1 with at most {most} bytes of headers; correct it", "invalid_http")
        self._answer(error, "400 Bad Request")

    def _answer(self, error: ApiError, status: str) -> None:
        """Sends an error without HTTP's machinery, which may not be in a state to, and closes."""
        assert self._transport is not None
        body = json.dumps(error.body()).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "retry-after: 1\r\n" if error.retry_after else ""
        self._transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self._transport.close()


def _notice_silent_clients(plug: socket.socket, seconds: float) -> None:
    """Lets the system find clients that vanished without a word."""
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT") and plug.family in (socket.AF_INET, socket.AF_INET6):
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * seconds))
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds / 2)))
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 6)))
