"""A server from its socket to its end: signals, draining, and an orderly stop.

SIGTERM or Ctrl-C: /health says "draining" and new requests get 503 at once; running answers go on for `drain_seconds`
and then end with an error event; then the process ends with code 0. A second signal ends it without waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import re
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import uvicorn

from dotori.errors import UserError
from dotori.serve.connection import Connections
from dotori.serve.guard import allowed_hosts
from dotori.serve.http import application
from dotori.serve.page import PageFile
from dotori.serve.service import Service

# Files that are open anyway: the standard streams, models, wake-up pipes, workers.
_OTHER_FILES = 128
_HOST_NAME = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    return ipaddress.ip_address(host).is_loopback


def checked_host(host: str) -> str:
    """`host` as an address; names are not looked up. Raises UserError."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise UserError(f"host: {host!r}; an IP address of this machine, or localhost; give one") from None


def check_host_name(name: str) -> None:
    """Raises UserError for what no Host header can be: an address with http://, blanks, letters beyond ASCII."""
    if not _HOST_NAME.fullmatch(name):
        raise UserError(
            f"allow-host: {name!r}; a name as it stands in an address between // and the next /; write acorn.local"
        )


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`, an address. Raises UserError when the port is taken or not ours to take."""
    if not 0 <= port <= 65535:
        raise UserError(f"port: {port}; 0 to 65535, 0 takes a free one; choose another with --port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends each event of a stream at once (TCP_NODELAY).
    plug = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plug.bind((host, port))
        plug.listen(1024)
    except OSError as error:
        plug.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"host: {host}: {error.strerror}; an address of this machine is needed; give another"
            ) from None
        taken = error.errno == errno.EADDRINUSE
        rule = "one server at a time can have it" if taken else "it must be yours to take"
        raise UserError(f"port: {port} on {host}: {error.strerror}; {rule}; choose another with --port") from None
    return plug


def run_server(
    service: Service,
    page: Mapping[str, PageFile],
    plug: socket.socket,
    key: str | None,
    allow_hosts: Iterable[str] = (),
    ready: Callable[[], None] = lambda: None,
    stopper: Callable[[Callable[[], None]], None] = lambda stop: None,
) -> None:
    """Serves on the listening socket `plug` until a signal ends it, then closes the engines.

    `ready` is called when requests are taken; before that `stopper` is given what another thread may call in place of
    a signal.
    """
    host, port = plug.getsockname()[:2]
    guard = application(service, page, allowed_hosts(host, port, allow_hosts), key)
    limits = service.limits
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    connections = Connections(service, max(16, min(limits.connections, files - _OTHER_FILES)))
    stop = _Stop(service)

    @contextlib.asynccontextmanager
    async def living(app: object) -> AsyncIterator[None]:
        stop.watch_signals()
        loop = asyncio.get_running_loop()
        stopper(lambda: stop.from_thread(loop))
        ready()
        yield

    guard.app.router.lifespan_context = living  # type: ignore[attr-defined]
    config = uvicorn.Config(
        guard,
        http=connections.protocol,  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=int(limits.close_seconds),
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    server = uvicorn.Server(config)
    stop.server = server
    try:
        server.run(sockets=[plug])
    finally:
        stop.close_engines(0.0)
        service.close()


class _Stop:
    """What a signal sets off."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self.server: uvicorn.Server | None = None

    def watch_signals(self) -> None:
        """Puts our handlers in place of uvicorn's, which would end the process with the signal's own code."""
        loop = asyncio.get_running_loop()
        # Only the main thread has signals; tests run servers elsewhere.
        with contextlib.suppress(ValueError, RuntimeError):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.begin)

    def from_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        """`begin` on `loop`, if it still runs."""
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self.begin)

    def begin(self) -> None:
        """The first call drains, the second stops at once."""
        assert self.server is not None
        if self._task is None:
            self._service.is_draining = True
            self._task = asyncio.get_running_loop().create_task(self._drain())
        else:
            # Requests that are cut off on purpose are nothing to report.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
            self.server.force_exit = self.server.should_exit = True

    async def _drain(self) -> None:
        assert self.server is not None
        service, limits = self._service, self._service.limits
        await asyncio.to_thread(self.close_engines, limits.drain_seconds)
        deadline = asyncio.get_running_loop().time() + limits.close_seconds
        while service.active and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        self.server.should_exit = True

    def close_engines(self, seconds: float) -> None:
        """Ends every engine; those after the first have what is left of the time."""
        deadline = time.monotonic() + seconds
        for served in self._service.catalog:
            served.engine.close(max(0.0, deadline - time.monotonic()))
