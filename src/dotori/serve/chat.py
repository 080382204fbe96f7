"""POST /v1/chat/completions."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

from dotori.serve import schema
from dotori.serve.engine import Finish, Piece, Request
from dotori.serve.errors import invalid
from dotori.serve.generation import Generation, Gone, checked_finish, sampling_of, stops_of
from dotori.serve.grammar import Matched, Tool
from dotori.serve.limits import Limits
from dotori.serve.logprobs import chat_token
from dotori.serve.messages import plain_messages, with_tools
from dotori.serve.models import Served
from dotori.serve.parse import clean
from dotori.serve.service import Service, client_of, is_small, read_request, service_of
from dotori.serve.stream import DONE, HEARTBEAT, EventStream, data_event
from dotori.serve.tools import CallArguments, CallBegins, CallReader, Part


@dataclass(frozen=True)
class Prepared:
    """What a chat request comes to: ids, and how answers are shaped. `reads_calls`: they may call tools."""

    prompt: tuple[int, ...]
    constraints: tuple[Matched | None, ...]
    reads_calls: bool


async def chat(http: HttpRequest) -> Response | EventStream:
    """Answers a conversation."""
    service = service_of(http)
    asked = await read_request(http, schema.ChatRequest)
    served = service.catalog.find(asked.model)
    if asked.top_logprobs is not None and not asked.logprobs:
        raise invalid("top_logprobs: without logprobs; set logprobs to true or leave it out", "top_logprobs")
    if asked.stream_options is not None and not asked.stream:
        raise invalid("stream_options: without stream; set stream to true or leave it out", "stream_options")
    count = asked.n or 1
    is_quick = is_small(http) and served.has_quick_template and not asked.tools and asked.response_format is None
    prepared = await service.prepare(is_quick, prepare, asked, served, service.limits, count)
    room = served.context - len(prepared.prompt)
    limit = asked.max_completion_tokens or asked.max_tokens or room
    sampling = sampling_of(
        asked.temperature, asked.top_p, asked.top_k, asked.min_p, asked.repetition_penalty, asked.seed
    )
    base = Request(
        prompt=prepared.prompt,
        max_tokens=min(limit, room),
        sampling=sampling,
        stop=tuple(clean(text, "stop", service.limits) for text in stops_of(asked.stop)),
        ignore_eos=bool(asked.ignore_eos),
        top_logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        client=client_of(http, asked.user or asked.safety_identifier),
    )
    requests = [
        replace(base, constraint=constraint, sampling=replace(sampling, seed=(sampling.seed + number) & (2**64 - 1)))
        for number, constraint in enumerate(prepared.constraints)
    ]
    generation = Generation(served, service.limits)
    generation.start(requests)
    answer = _Answer(service, generation, requests, prepared.reads_calls)
    if asked.stream:
        usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
        return EventStream(answer.chunks(http.receive, usage), generation)
    return await answer.whole(http.receive)


def prepare(asked: schema.ChatRequest, served: Served, limits: Limits, count: int) -> Prepared:
    """Messages to ids, formats and tools to grammars; raises ApiError 400. Slow: not for the event loop."""
    tools, forced = chosen_tools(asked.tools or [], asked.tool_choice, limits)
    messages = with_tools(plain_messages(asked.messages, limits), tools, forced)
    prompt = tuple(served.chat_prompt(messages, "messages"))
    shaped = asked.response_format is not None and asked.response_format.type != "text"
    if tools and shaped:
        raise invalid(
            "response_format: together with tools; an answer follows one of them; leave one out", "response_format"
        )
    constraints: list[Matched | None] = []
    for _ in range(count):
        if tools:
            parallel = asked.parallel_tool_calls is not False
            constraints.append(served.grammars.tools(tools, forced, parallel, limits.tool_calls))
        else:
            constraints.append(format_constraint(asked.response_format, served))
    return Prepared(prompt, tuple(constraints), bool(tools))


def format_constraint(wanted: schema.ResponseFormat | None, served: Served) -> Matched | None:
    """The grammar of a response format."""
    if isinstance(wanted, schema.ObjectFormat):
        return served.grammars.json_object()
    if isinstance(wanted, schema.SchemaFormat):
        found = wanted.json_schema.schema
        return served.grammars.json_schema(
            {"type": "object"} if found is None else found, "response_format.json_schema.schema"
        )
    return None


def chosen_tools(
    specs: Sequence[schema.ToolSpec], choice: str | schema.ToolChoice | None, limits: Limits
) -> tuple[list[Tool], bool]:
    """The tools that may be called, and whether one must be; raises ApiError 400 for a choice that is not there."""
    tools = [
        Tool(
            spec.function.name,
            clean(spec.function.description or "", f"tools[{number}].function.description", limits),
            spec.function.parameters or {"type": "object", "properties": {}, "additionalProperties": False},
        )
        for number, spec in enumerate(specs)
    ]
    if len({tool.name for tool in tools}) != len(tools):
        raise invalid("tools: two functions of one name; each needs its own; rename one", "tools")
    if isinstance(choice, schema.ToolChoice):
        tools = [tool for tool in tools if tool.name == choice.function.name]
        if not tools:
            raise invalid(f"tool_choice: {choice.function.name!r}; no such tool; name one of tools", "tool_choice")
        return tools, True
    if choice == "required" and not tools:
        raise invalid("tool_choice: 'required' without tools; give some or leave it out", "tool_choice")
    return ([], False) if choice == "none" else (tools, choice == "required")


class _Answer:
    """Turns a generation's events into OpenAI's chat objects."""

    def __init__(
        self, service: Service, generation: Generation, requests: Sequence[Request], reads_calls: bool
    ) -> None:
        self._service, self._generation, self._requests = service, generation, requests
        self._tokenizer = generation.served.engine.session.tokenizer
        self._head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": generation.served.name,
            "system_fingerprint": "dotori",
        }
        self._readers = [CallReader() if reads_calls else None for _ in requests]

    def _parts(self, number: int, piece: Piece) -> list[Part]:
        reader = self._readers[number]
        return reader.push(piece.text) if reader else ([piece.text] if piece.text else [])

    def _finished(self, number: int, finish: Finish) -> tuple[str, list[Part]]:
        """The finish reason and what was held back; counts the choice."""
        checked_finish(finish, self._requests[number].constraint)
        self._generation.counts.add(finish, is_same_prompt=True)
        self._service.metrics.answer(
            self._generation.served.name,
            finish.prompt_tokens,
            finish.completion_tokens,
            finish.cached_tokens,
            finish.reason,
            finish.seconds_to_first,
        )
        reader = self._readers[number]
        rest = reader.finish() if reader else []
        called = reader is not None and reader.calls > 0 and finish.reason == "stop"
        return ("tool_calls" if called else finish.reason), rest

    def _logprobs(self, piece: Piece, number: int) -> dict[str, Any] | None:
        if self._requests[number].top_logprobs is None:
            return None
        return {"content": [chat_token(self._tokenizer, token) for token in piece.tokens], "refusal": None}

    async def chunks(self, receive: Receive, usage: bool) -> AsyncIterator[bytes]:
        """The events of a stream."""
        head: dict[str, Any] = self._head | {"object": "chat.completion.chunk"}
        head |= {"usage": None} if usage else {}

        def chunk(number: int, delta: dict[str, Any], logprobs: Any = None, reason: str | None = None) -> bytes:
            choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
            return data_event(head | {"choices": [choice]})

        for number in range(len(self._requests)):
            yield chunk(number, {"role": "assistant", "content": "", "refusal": None})
        async for item in self._generation.events(receive, self._service.limits.heartbeat_seconds):
            if item is None:
                yield HEARTBEAT
                continue
            number, event = item
            if isinstance(event, Piece):
                logprobs = self._logprobs(event, number)
                for part in self._parts(number, event):
                    yield chunk(number, _delta(part), logprobs)
                    logprobs = None
                if logprobs and logprobs["content"]:
                    yield chunk(number, {}, logprobs)
                continue
            reason, rest = self._finished(number, event)
            for part in rest:
                yield chunk(number, _delta(part))
            yield chunk(number, {}, None, reason)
        if usage:
            yield data_event(head | {"choices": [], "usage": self._generation.counts.usage()})
        yield DONE

    async def whole(self, receive: Receive) -> Response:
        """The answer in one piece."""
        count = len(self._requests)
        parts: list[list[Part]] = [[] for _ in range(count)]
        tokens: list[list[Any]] = [[] for _ in range(count)]
        reasons = [""] * count
        try:
            async for item in self._generation.events(receive):
                assert item is not None
                number, event = item
                if isinstance(event, Piece):
                    parts[number] += self._parts(number, event)
                    if logprobs := self._logprobs(event, number):
                        tokens[number] += logprobs["content"]
                else:
                    reasons[number], rest = self._finished(number, event)
                    parts[number] += rest
        except Gone:
            return Response(status_code=499)
        choices = [
            {
                "index": number,
                "message": _message(parts[number]),
                "logprobs": None
                if self._requests[number].top_logprobs is None
                else {"content": tokens[number], "refusal": None},
                "finish_reason": reasons[number],
            }
            for number in range(count)
        ]
        return JSONResponse(self._head | {"choices": choices, "usage": self._generation.counts.usage()})


def call_id() -> str:
    """A new id for a tool call."""
    return f"call_{secrets.token_hex(12)}"


def _delta(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"content": part}
    if isinstance(part, CallBegins):
        function = {"name": part.name, "arguments": ""}
        return {"tool_calls": [{"index": part.index, "id": call_id(), "type": "function", "function": function}]}
    return {"tool_calls": [{"index": part.index, "function": {"arguments": part.text}}]}


def _message(parts: Sequence[Part]) -> dict[str, Any]:
    text = "".join(part for part in parts if isinstance(part, str))
    calls = [
        {
            "id": call_id(),
            "type": "function",
            "function": {"name": begun.name, "arguments": arguments_of(parts, begun.index)},
        }
        for begun in parts
        if isinstance(begun, CallBegins)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": None if calls and not text else text, "refusal": None}
    return message | {"tool_calls": calls} if calls else message


def arguments_of(parts: Sequence[Part], index: int) -> str:
    """The arguments of call `index`."""
    return "".join(part.text for part in parts if isinstance(part, CallArguments) and part.index == index)
