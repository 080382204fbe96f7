"""What every request passes before anything else looks at it, as pure ASGI.

Browsers: a page of another site must not reach a server on this machine. Host is compared with an allow-list (DNS
rebinding), Origin must be our own or absent, POST must say application/json, which no form can, and no CORS header is
ever sent. Strangers: an API key on everything but /health and the page's own files. Slow or large ones: deadlines and
sizes. Decisions are made on the raw target of the request, never on a URL put together from its headers.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dotori.serve.errors import ApiError, invalid
from dotori.serve.service import Service

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_HEALTH = b"/health"
_DOCUMENTS = b"/documents/text"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def allowed_hosts(host: str, port: int, extra: Iterable[str] = ()) -> frozenset[bytes]:
    """The Host headers that are ours: this machine's names with our port, the address we listen on, and `extra`.

    An `extra` without a port is allowed with ours and, for a proxy before us, with none.
    """
    names = [*_LOOPBACK]
    if host not in ("0.0.0.0", "::", "localhost"):
        names.append(f"[{host}]" if ":" in host else host)
    found = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
    for name in extra:
        found |= {name, f"{name}:{port}"}
    return frozenset(name.encode() for name in found)


class Guard:
    """Wraps the application; the rest of the server sees only what passed."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        hosts: frozenset[bytes],
        open_paths: Iterable[str],
        key: str | None,
        labels: Mapping[object, str],
    ) -> None:
        """`open_paths`: the page's files, sent without the key. `key` None asks for none. `labels`: endpoint -> the
        route's name in the metrics."""
        self.app, self._service, self._hosts = app, service, hosts
        self._labels = labels
        self._open = frozenset(path.encode() for path in open_paths)
        self._key = None if key is None else hashlib.sha256(key.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers by itself or hands on to the application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        begun, status = time.perf_counter(), 499
        service = self._service

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = self._with_headers(scope, message)
            await self._send(scope, send, message)

        service.active += 1
        counted = [0]
        try:
            self._check(scope)
            if scope["method"] == "POST":
                scope["state"]["body"] = await self._body(scope, receive, counted)
            await self.app(scope, receive, sender)
        except ApiError as error:
            await error.response()(scope, receive, sender)
        except _Left:
            # uvicorn learns of the lost connection in the loop's next round, and else takes this for a fault.
            await asyncio.sleep(0)
        finally:
            service.active -= 1
            service.body_bytes -= counted[0]
            service.metrics.request(self._route(scope), status, time.perf_counter() - begun)

    def _route(self, scope: Scope) -> str:
        """A label with few values."""
        return self._labels.get(scope.get("endpoint"), "other")

    def _check(self, scope: Scope) -> None:
        """Raises ApiError for a request that must not pass; nothing of its body has been read yet."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        limits = self._service.limits
        if sum(len(name) + len(value) + 4 for name, value in headers) > limits.header_bytes:
            raise ApiError(431, f"headers: more than {limits.header_bytes} bytes; send fewer", "headers_too_large")
        self._check_origin(headers, path)
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
            raise invalid("headers: Content-Length and Transfer-Encoding; two ends of one body; send one of them")
        if not path.startswith(b"/"):
            raise invalid("target: not a path; send the path of a route", code="invalid_target")
        if self._service.is_draining and path != _HEALTH:
            raise ApiError(503, "server: stopping; try again later", "stopping", retry_after=5)
        if self._service.active > limits.requests and path != _HEALTH:
            raise ApiError(503, "server: too many requests at once; try again soon", "busy", retry_after=1)
        is_open = path == _HEALTH or (path in self._open and scope["method"] in ("GET", "HEAD"))
        if self._key is not None and not is_open:
            self._check_key(headers)
        if scope["method"] == "POST":
            self._check_type(headers, path)

    def _check_origin(self, headers: list[tuple[bytes, bytes]], path: bytes) -> None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise ApiError(
                421, "host: not a name of this server; use its address, or start it with --allow-host", "unknown_host"
            )
        origins = [value for name, value in headers if name == b"origin"]
        if origins and (len(origins) > 1 or origins[0] not in (b"http://" + hosts[0], b"https://" + hosts[0])):
            raise ApiError(403, "origin: another site; only this server's own page may call it", "foreign_origin")
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        if any(site not in (b"same-origin", b"none") for site in sites):
            modes = [value for name, value in headers if name == b"sec-fetch-mode"]
            if path not in self._open or modes != [b"navigate"]:
                raise ApiError(403, "origin: another site; only this server's own page may call it", "foreign_origin")

    def _check_key(self, headers: list[tuple[bytes, bytes]]) -> None:
        given = [value for name, value in headers if name == b"authorization"]
        value = given[0] if len(given) == 1 and given[0].startswith(b"Bearer ") else b""
        # Hashes have one length, so that the time tells nothing.
        if not hmac.compare_digest(hashlib.sha256(value[7:]).digest(), self._key or b""):
            raise ApiError(401, "authorization: no valid API key; send Authorization: Bearer KEY", "invalid_api_key")

    def _check_type(self, headers: list[tuple[bytes, bytes]], path: bytes) -> None:
        kinds = [value for name, value in headers if name == b"content-type"]
        kind = kinds[0].partition(b";")[0].strip().lower() if len(kinds) == 1 else b""
        if path == _DOCUMENTS:
            if kind != b"application/pdf" and not kind.startswith(b"text/"):
                raise ApiError(415, "content-type: application/pdf or text/* is needed", "unsupported_media_type")
        elif kind != b"application/json":
            raise ApiError(415, "content-type: application/json is needed", "unsupported_media_type")

    async def _body(self, scope: Scope, receive: Receive, counted: list[int]) -> bytes:
        """All of the body; raises ApiError when it is too large or takes too long, _Left when the client leaves."""
        limits = self._service.limits
        try:
            async with asyncio.timeout(limits.body_seconds):
                return await self._read(receive, counted)
        except TimeoutError:
            raise ApiError(408, f"body: not here after {limits.body_seconds:g} s; send it faster", "timeout") from None

    async def _read(self, receive: Receive, counted: list[int]) -> bytes:
        limits, service = self._service.limits, self._service
        pieces: list[bytes] = []
        size, crowded = 0, False
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Left
            piece: bytes = message.get("body", b"")
            size += len(piece)
            crowded = crowded or service.body_bytes + len(piece) > limits.bodies_bytes
            if size > limits.body_bytes or crowded:
                pieces = []
                service.body_bytes -= counted[0]
                counted[0] = 0
            else:
                pieces.append(piece)
                service.body_bytes += len(piece)
                counted[0] += len(piece)
            # What is too large is read on for a while: a sender that is cut off would see no answer.
            if not message.get("more_body", False) or size > limits.discarded_bytes:
                break
        if size > limits.body_bytes:
            raise ApiError(413, f"body: more than {limits.body_bytes} bytes; send less", "body_too_large")
        if crowded:
            raise ApiError(503, "server: too many large requests at once; try again soon", "busy", retry_after=1)
        return b"".join(pieces)

    async def _send(self, scope: Scope, send: Send, message: Message) -> None:
        """Sends; a reader that takes nothing for too long is cut off. Raises _Left when nobody is there."""
        connection = scope.get("state", {}).get("connection")
        if connection is not None and connection.is_closing:
            raise _Left
        try:
            async with asyncio.timeout(self._service.limits.stall_seconds):
                await send(message)
        except TimeoutError:
            if connection is not None:
                connection.abort()
            raise _Left from None

    def _with_headers(self, scope: Scope, message: Message) -> Message:
        policy = PAGE_POLICY if scope.get("raw_path") in self._open else "default-src 'none'; frame-ancestors 'none'"
        headers = list(message.get("headers", []))
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"no-store"))
        headers += [*_HEADERS, (b"content-security-policy", policy.encode())]
        return {**message, "headers": headers}


class _Left(Exception):
    """The client is no longer there."""
