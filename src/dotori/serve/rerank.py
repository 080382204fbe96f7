"""POST /v1/rerank: documents by how well they fit a query."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse

from dotori.serve import schema
from dotori.serve.embeddings import embed
from dotori.serve.limits import Limits
from dotori.serve.models import Served
from dotori.serve.parse import clean
from dotori.serve.rank import best_first, bm25_scores, fused
from dotori.serve.service import Service, client_of, read_request, service_of


async def rerank(http: HttpRequest) -> JSONResponse:
    """BM25, joined with the model's embeddings by reciprocal rank fusion when `embeddings` is true."""
    service = service_of(http)
    asked = await read_request(http, schema.RerankRequest)
    served = service.catalog.first if asked.model is None else service.catalog.find(asked.model)
    query, documents = await service.workers.run(_texts, asked, service.limits)
    scores = await service.workers.run(bm25_scores, query, documents)
    tokens = 0
    if asked.embeddings:
        nearness, tokens = await _nearness(service, served, query, documents, scores, client_of(http, asked.user))
        scores = fused(scores, nearness)
    order = best_first(scores)[: asked.top_n or len(documents)]
    results = [_result(int(index), float(scores[index]), documents, bool(asked.return_documents)) for index in order]
    return JSONResponse(
        {
            "id": f"rerank-{secrets.token_hex(12)}",
            "object": "list",
            "model": served.name,
            "results": results,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _texts(asked: schema.RerankRequest, limits: Limits) -> tuple[str, list[str]]:
    texts = [document if isinstance(document, str) else document.text for document in asked.documents]
    return clean(asked.query, "query", limits), [
        clean(text, f"documents[{number}]", limits) for number, text in enumerate(texts)
    ]


async def _nearness(
    service: Service, served: Served, query: str, documents: Sequence[str], scores: np.ndarray, client: str
) -> tuple[np.ndarray, int]:
    """Cosine with the query of the best documents by `scores`, -1 for the others, and the tokens read."""
    ids = await service.workers.run(served.beginning, query)
    wanted = await service.workers.run(embed, served, tuple(ids), client) if ids else None
    tokens, found = len(ids), np.full(len(documents), -1.0, np.float32)
    for index in best_first(scores)[: service.limits.ranked_by_embedding]:
        ids = await service.workers.run(served.beginning, documents[index])
        if wanted is not None and ids:
            found[index] = float(np.dot(wanted, await service.workers.run(embed, served, tuple(ids), client)))
            tokens += len(ids)
    return found, tokens


def _result(index: int, score: float, documents: Sequence[str], with_text: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"index": index, "relevance_score": score}
    return row | {"document": {"text": documents[index]}} if with_text else row
