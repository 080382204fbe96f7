"""The application: routes, errors, and the guard around all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dotori.serve.chat import chat
from dotori.serve.completions import completions
from dotori.serve.documents import documents_text
from dotori.serve.embeddings import embeddings
from dotori.serve.errors import ApiError
from dotori.serve.guard import Guard
from dotori.serve.openapi import description
from dotori.serve.page import PageFile, page_file
from dotori.serve.rerank import rerank
from dotori.serve.responses import responses
from dotori.serve.service import Service, service_of


async def models(request: Request) -> JSONResponse:
    """GET /v1/models."""
    service = service_of(request)
    return JSONResponse(
        {"object": "list", "data": [served.card() for served in service.catalog], "limits": vars(service.limits)}
    )


async def model(request: Request) -> JSONResponse:
    """GET /v1/models/{id}."""
    return JSONResponse(service_of(request).catalog.find(request.path_params["id"]).card())


async def health(request: Request) -> JSONResponse:
    """GET /health: 200 while requests are taken, 503 once the server stops."""
    if service_of(request).is_draining:
        return JSONResponse({"status": "draining"}, 503, {"retry-after": "5"})
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> PlainTextResponse:
    """GET /metrics, for Prometheus."""
    service = service_of(request)
    engines = {served.name: served.engine.state() for served in service.catalog}
    gauges = {
        "requests_active": service.active,
        "body_bytes": service.body_bytes,
        "prepared_at_once": service.workers.busy,
        "documents_at_once": service.pdf_workers.busy,
    }
    text = service.metrics.text(engines, gauges)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def openapi(request: Request) -> JSONResponse:
    """GET /openapi.json."""
    names = [served.name for served in service_of(request).catalog]
    return JSONResponse(description(names, service_of(request).limits))


async def page_settings(request: Request) -> JSONResponse:
    """GET /config.json: tells the page that a server answers it."""
    return JSONResponse({"engine": "server"})


ROUTES = (
    ("/v1/models", models, "GET"),
    ("/v1/models/{id}", model, "GET"),
    ("/v1/chat/completions", chat, "POST"),
    ("/v1/completions", completions, "POST"),
    ("/v1/embeddings", embeddings, "POST"),
    ("/v1/responses", responses, "POST"),
    ("/v1/rerank", rerank, "POST"),
    ("/documents/text", documents_text, "POST"),
    ("/health", health, "GET"),
    ("/metrics", metrics, "GET"),
    ("/openapi.json", openapi, "GET"),
    ("/config.json", page_settings, "GET"),
)
# No secret in it, and the page asks before it can know the key.
OPEN_ROUTES = ("/config.json",)


def application(
    service: Service,
    page: Mapping[str, PageFile],
    hosts: frozenset[bytes],
    key: str | None,
) -> ASGIApp:
    """The server as an ASGI application. `page`: URL path -> file; `hosts`: Host headers that are ours."""
    routes = [Route(path, endpoint, methods=[method]) for path, endpoint, method in ROUTES]
    files = {path: file for path, file in page.items() if path not in {path for path, _, _ in ROUTES}}
    routes += [Route(path, page_file, methods=["GET"]) for path in files]
    app = Starlette(
        routes=routes, exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _bug}
    )
    app.router.redirect_slashes = False
    app.state.service, app.state.page = service, files
    labels: dict[object, str] = {endpoint: path for path, endpoint, _ in ROUTES}
    return Guard(app, service, hosts, (*files, *OPEN_ROUTES), key, labels | {page_file: "page"})


def routes_of(guard: Any) -> Iterable[Route]:
    """All routes of an application, for tests that must miss none."""
    return guard.app.routes


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return ApiError(404, "path: no such route; /openapi.json lists them", "not_found").response()
    if error.status_code == 405:
        answer = ApiError(405, "method: not one of this route; /openapi.json tells", "method_not_allowed").response()
        answer.headers.update(error.headers or {})
        return answer
    return ApiError(error.status_code, f"request: {error.detail}; correct it", "invalid_request").response()


async def _bug(request: Request, error: Exception) -> Response:
    return ApiError(500, "server: a fault of ours; its log tells more; please report it", "internal_error").response()
