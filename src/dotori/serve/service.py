"""What all requests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple

from starlette.requests import Request

from dotori.serve.json_body import parse_json
from dotori.serve.limits import Limits
from dotori.serve.metrics import Metrics
from dotori.serve.models import Catalog
from dotori.serve.parse import T, parse_request
from dotori.serve.workers import Workers

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

# Parsing or tokenizing less than this takes a few hundred microseconds.
_SMALL_BYTES = 4 << 10


@dataclass
class Service:
    """The models, limits and threads of a running server, and how busy it is."""

    catalog: Catalog
    limits: Limits
    metrics: Metrics = field(default_factory=Metrics)
    is_draining: bool = False
    active: int = 0
    body_bytes: int = 0

    def __post_init__(self) -> None:
        self.workers = Workers(self.limits.workers, self.limits.worker_queue, "work")
        self.pdf_workers = Workers(self.limits.pdf_workers, self.limits.pdf_queue, "pdf")

    async def prepare(self, is_small: bool, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """`function`'s result: at once for small work, which a change of thread would only delay, else by a worker."""
        return function(*arguments) if is_small else await self.workers.run(function, *arguments)

    def close(self) -> None:
        """Ends the threads."""
        self.workers.close()
        self.pdf_workers.close()


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    return request.app.state.service


def is_small(request: Request) -> bool:
    """Whether a request's body is so short that preparing it holds nobody up."""
    return len(request.scope["state"]["body"]) < _SMALL_BYTES


async def read_request(request: Request, of: type[T]) -> T:
    """The checked body of a request; the guard has read it. Raises ApiError 400."""
    service = service_of(request)
    data: bytes = request.scope["state"]["body"]

    def parse() -> T:
        return parse_request(of, parse_json(data, service.limits))

    return await service.prepare(is_small(request), parse)


def client_of(request: Request, user: str | None) -> str:
    """Whose turn it is in the fair queue: the user that a request names, else its connection."""
    if user:
        return f"user {user}"
    return "{}:{}".format(*request.client) if request.client else ""
