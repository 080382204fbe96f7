"""POST /v1/completions: text goes on from a prompt, without a chat template."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

from dotori.serve import schema
from dotori.serve.engine import Finish, Piece, Request, TokenInfo
from dotori.serve.errors import invalid
from dotori.serve.generation import Generation, Gone, checked_finish, sampling_of, stops_of
from dotori.serve.limits import Limits
from dotori.serve.logprobs import completion_tokens
from dotori.serve.models import Served
from dotori.serve.parse import clean
from dotori.serve.service import Service, client_of, is_small, read_request, service_of
from dotori.serve.stream import DONE, HEARTBEAT, EventStream, data_event

DEFAULT_MAX_TOKENS = 16


async def completions(http: HttpRequest) -> Response | EventStream:
    """Continues one or more prompts."""
    service = service_of(http)
    asked = await read_request(http, schema.CompletionRequest)
    served = service.catalog.find(asked.model)
    if asked.stream_options is not None and not asked.stream:
        raise invalid("stream_options: without stream; set stream to true or leave it out", "stream_options")
    prompts = await service.prepare(is_small(http), prompt_ids, asked.prompt, served, service.limits, "prompt")
    sampling = sampling_of(
        asked.temperature, asked.top_p, asked.top_k, asked.min_p, asked.repetition_penalty, asked.seed
    )
    base = Request(
        prompt=(),
        max_tokens=0,
        sampling=sampling,
        stop=tuple(clean(text, "stop", service.limits) for text in stops_of(asked.stop)),
        ignore_eos=bool(asked.ignore_eos),
        top_logprobs=asked.logprobs,
        client=client_of(http, asked.user),
    )
    wanted = asked.max_tokens or DEFAULT_MAX_TOKENS
    requests = [
        replace(
            base,
            prompt=ids,
            max_tokens=min(wanted, served.context - len(ids)),
            sampling=replace(sampling, seed=(sampling.seed + number) & (2**64 - 1)),
        )
        for ids in prompts
        for number in range(asked.n or 1)
    ]
    generation = Generation(served, service.limits)
    generation.start(requests)
    answer = _Answer(service, generation, requests, is_same_prompt=len(prompts) == 1)
    if asked.stream:
        usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
        return EventStream(answer.chunks(http.receive, usage), generation)
    return await answer.whole(http.receive)


def prompt_ids(
    prompt: str | list[int] | list[str] | list[list[int]], served: Served, limits: Limits, param: str
) -> list[tuple[int, ...]]:
    """The ids of each prompt; raises ApiError 400. Slow: not for the event loop."""
    several = isinstance(prompt, list) and not isinstance(prompt[0], int)
    items: list[Any] = prompt if several else [prompt]  # type: ignore[assignment]
    found = []
    for number, item in enumerate(items):
        place = f"{param}[{number}]" if several else param
        if isinstance(item, str):
            found.append(tuple(served.text_prompt(clean(item, place, limits), place)))
        else:
            found.append(tuple(served.ids_prompt(item, place)))
    return found


class _Answer:
    """Turns a generation's events into OpenAI's text completion objects."""

    def __init__(
        self, service: Service, generation: Generation, requests: Sequence[Request], is_same_prompt: bool
    ) -> None:
        self._service, self._generation, self._requests = service, generation, requests
        self._is_same_prompt = is_same_prompt
        self._tokenizer = generation.served.engine.session.tokenizer
        self._offsets = [0] * len(requests)
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": generation.served.name,
            "system_fingerprint": "dotori",
        }

    def _choice(self, number: int, text: str, tokens: list[TokenInfo], reason: str | None) -> dict[str, Any]:
        logprobs = None
        if self._requests[number].top_logprobs is not None:
            logprobs = completion_tokens(self._tokenizer, tokens, self._offsets[number])
            self._offsets[number] += sum(len(token.text_bytes.decode(errors="replace")) for token in tokens)
        return {"index": number, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def _finished(self, finish: Finish) -> str:
        checked_finish(finish, None)
        self._generation.counts.add(finish, self._is_same_prompt)
        self._service.metrics.answer(
            self._generation.served.name,
            finish.prompt_tokens,
            finish.completion_tokens,
            finish.cached_tokens,
            finish.reason,
            finish.seconds_to_first,
        )
        return finish.reason

    async def chunks(self, receive: Receive, usage: bool) -> AsyncIterator[bytes]:
        """The events of a stream."""
        head: dict[str, Any] = self._head | ({"usage": None} if usage else {})
        async for item in self._generation.events(receive, self._service.limits.heartbeat_seconds):
            if item is None:
                yield HEARTBEAT
                continue
            number, event = item
            if isinstance(event, Piece):
                choice = self._choice(number, event.text, list(event.tokens), None)
            else:
                choice = self._choice(number, "", [], self._finished(event))
            yield data_event(head | {"choices": [choice]})
        if usage:
            yield data_event(head | {"choices": [], "usage": self._generation.counts.usage()})
        yield DONE

    async def whole(self, receive: Receive) -> Response:
        """The answer in one piece."""
        texts = [""] * len(self._requests)
        tokens: list[list[TokenInfo]] = [[] for _ in self._requests]
        reasons = [""] * len(self._requests)
        try:
            async for item in self._generation.events(receive):
                assert item is not None
                number, event = item
                if isinstance(event, Piece):
                    texts[number] += event.text
                    tokens[number] += event.tokens
                else:
                    reasons[number] = self._finished(event)
        except Gone:
            return Response(status_code=499)
        choices = [self._choice(number, text, tokens[number], reasons[number]) for number, text in enumerate(texts)]
        return JSONResponse(self._head | {"choices": choices, "usage": self._generation.counts.usage()})
