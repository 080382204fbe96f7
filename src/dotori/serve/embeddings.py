"""POST /v1/embeddings: unit vectors, the mean of the model's last layer over a text."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse

from dotori.serve import schema
from dotori.serve.completions import prompt_ids
from dotori.serve.engine import Full
from dotori.serve.errors import ApiError, invalid
from dotori.serve.models import Served
from dotori.serve.service import client_of, read_request, service_of


async def embeddings(http: HttpRequest) -> JSONResponse:
    """One vector per text."""
    service = service_of(http)
    asked = await read_request(http, schema.EmbeddingRequest)
    served = service.catalog.find(asked.model)
    prompts = await service.workers.run(prompt_ids, asked.input, served, service.limits, "input")
    client, rows = client_of(http, asked.user), []
    for ids in prompts:
        # One by one: a neighbour's work comes in between, and a client that left ends it.
        rows.append(await service.workers.run(embed, served, ids, client))
        if asked.dimensions is not None and asked.dimensions != len(rows[0]):
            raise invalid(f"dimensions: {asked.dimensions}; this model has {len(rows[0])}; leave it out", "dimensions")
        if await http.is_disconnected():
            break
    tokens = sum(map(len, prompts))
    service.metrics.answer(served.name, tokens, 0, 0, "embedding", 0.0)
    as_text = asked.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(row, as_text)} for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": served.name, "usage": usage})


def embed(served: Served, ids: tuple[int, ...], client: str) -> np.ndarray:
    """The vector of `ids`, float32 (hidden,), of unit length. Raises ApiError 400 or 429."""
    try:
        with served.errors("input"):
            return served.engine.embed(ids, client)
    except (Full, TimeoutError) as error:
        seconds = getattr(error, "retry_after", 5)
        raise ApiError(429, f"server: {error}", "queue_full", retry_after=seconds) from None


def _encoded(row: np.ndarray, as_text: bool) -> Any:
    return base64.b64encode(row.astype("<f4").tobytes()).decode() if as_text else row.tolist()
