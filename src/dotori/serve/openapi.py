"""The server's own description, made from the shapes that check its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from dotori import __version__
from dotori.serve import schema
from dotori.serve.limits import Limits
from dotori.serve.schema_responses import ResponsesRequest

_REF = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}
_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}},
}
_FAILURES = (400, 401, 403, 404, 405, 408, 413, 415, 421, 429, 431, 503)

# path -> (what it does, shape of the request, required fields of the answer, whether it can stream)
_POSTS: dict[str, tuple[str, type, tuple[str, ...], bool]] = {
    "/v1/chat/completions": (
        "Answer a conversation",
        schema.ChatRequest,
        ("id", "object", "created", "model", "choices", "usage"),
        True,
    ),
    "/v1/completions": (
        "Continue a text",
        schema.CompletionRequest,
        ("id", "object", "created", "model", "choices", "usage"),
        True,
    ),
    "/v1/embeddings": ("Texts to vectors", schema.EmbeddingRequest, ("object", "data", "model", "usage"), False),
    "/v1/responses": (
        "Answer a conversation",
        ResponsesRequest,
        ("id", "object", "created_at", "model", "status", "output", "usage"),
        True,
    ),
    "/v1/rerank": ("Documents by how well they fit", schema.RerankRequest, ("model", "results", "usage"), False),
}


def description(models: Sequence[str], limits: Limits) -> dict[str, Any]:
    """OpenAPI 3.1 of a server with these models."""
    components: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, Any] = {}
    for path, (summary, shape, required, streams) in _POSTS.items():
        reference = _component(shape, components, models)
        content = {"application/json": {"schema": _object(required)}}
        if streams:
            content["text/event-stream"] = {"schema": _EVENT}
        paths[path] = {"post": _operation(summary, content, body={"application/json": {"schema": reference}})}
    paths |= _plain_paths(models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dotori",
            "version": __version__,
            "description": f"Bodies have at most {limits.body_bytes} bytes; unknown fields are refused.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _component(shape: type, components: dict[str, Any], models: Sequence[str]) -> dict[str, str]:
    """Adds the JSON Schema of `shape` and what it refers to; its reference."""
    found = TypeAdapter(shape).json_schema(ref_template=_REF)
    components.update(found.pop("$defs", {}))
    if "model" in found["properties"]:
        found["properties"]["model"] = {"type": "string", "enum": list(models)}
    components[shape.__name__] = found
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def _object(required: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "required": list(required)}


def _operation(
    summary: str, content: dict[str, Any], body: dict[str, Any] | None = None, parameters: Sequence[Any] = ()
) -> dict[str, Any]:
    error = {"description": "error", "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "security": [{}, {"key": []}],
        "responses": {"200": {"description": "done", "content": content}}
        | {str(status): error for status in _FAILURES},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation | ({"parameters": list(parameters)} if parameters else {})


def _plain_paths(models: Sequence[str]) -> dict[str, Any]:
    """The routes without a JSON body."""

    def answers(*required: str) -> dict[str, Any]:
        return {"application/json": {"schema": _object(required)}}

    text = {"text/plain": {"schema": {"type": "string"}}}
    name = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "enum": list(models)}}
    documents = {kind: {"schema": {"type": "string", "minLength": 1}} for kind in ("text/plain", "application/pdf")}
    return {
        "/v1/models": {"get": _operation("The served models, and all limits", answers("object", "data", "limits"))},
        "/v1/models/{id}": {"get": _operation("One model", answers("id", "object"), parameters=[name])},
        "/documents/text": {"post": _operation("The text of a document", answers("pages"), body=documents)},
        "/health": {"get": _operation("Whether requests are taken", answers("status"))},
        "/metrics": {"get": _operation("Figures for Prometheus", text)},
        "/openapi.json": {"get": _operation("This description", answers("openapi", "paths"))},
        "/config.json": {"get": _operation("What the page asks first", answers("engine"))},
    }
