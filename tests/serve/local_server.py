"""A server under test, and small helpers around it."""

import contextlib
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import httpx
import openai

from dotori.serve.limits import Limits
from dotori.serve.service import Service

KEY = "a-key-of-the-tests"
LIMITS = Limits(drain_seconds=5.0)


@dataclass(frozen=True)
class Running:
    """A server under test."""

    port: int
    service: Service
    stop: Callable[[], None]
    clients: list[openai.OpenAI] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self, **settings) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **settings)

    def client(self, key: str = "none") -> openai.OpenAI:
        found = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)
        self.clients.append(found)
        return found

    def raw(self, data: bytes, seconds: float = 20) -> bytes:
        """Sends bytes on a fresh connection; the first answer, or what came before the server closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as plug:
            with contextlib.suppress(ConnectionError):
                plug.sendall(data)
            return read_answer(plug)


def read_answer(plug: socket.socket) -> bytes:
    """One answer with a Content-Length, head and body."""
    found = b""
    try:
        while piece := plug.recv(65536):
            found += piece
            head, blank, body = found.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if blank and length and len(body) >= int(length[1]):
                break
    except ConnectionError:
        pass
    return found


def read_all(plug: socket.socket) -> bytes:
    """What comes until the other side closes; a reset counts as that."""
    found = b""
    try:
        while piece := plug.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether `condition` comes true in time."""
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return done


def is_idle(running: Running) -> bool:
    """Whether no request and no answer is under way."""
    states = [served.engine.state() for served in running.service.catalog]
    return not running.service.active and not any(state["active"] or state["waiting"] for state in states)


def quick(**changes) -> Limits:
    """The limits of the tests with some changed."""
    return replace(LIMITS, **changes)
