"""POST /v1/responses: the newer form of OpenAI's API. Nothing is stored; each request brings its whole conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

from dotori.serve import schema
from dotori.serve import schema_responses as shapes
from dotori.serve.chat import chosen_tools
from dotori.serve.engine import Finish, Piece, Request
from dotori.serve.errors import ApiError, invalid
from dotori.serve.generation import Generation, Gone, checked_finish, sampling_of, stops_of
from dotori.serve.grammar import Matched
from dotori.serve.limits import Limits
from dotori.serve.messages import Plain, with_tools
from dotori.serve.models import Served
from dotori.serve.parse import clean
from dotori.serve.response_object import Output, response_object
from dotori.serve.service import Service, client_of, is_small, read_request, service_of
from dotori.serve.stream import HEARTBEAT, EventStream, named_event
from dotori.serve.tools import CallReader, call_text


@dataclass(frozen=True)
class Prepared:
    """What a request comes to. `reads_calls`: the answer may call tools."""

    prompt: tuple[int, ...]
    constraint: Matched | None
    reads_calls: bool


async def responses(http: HttpRequest) -> Response | EventStream:
    """Answers a conversation."""
    service = service_of(http)
    asked = await read_request(http, shapes.ResponsesRequest)
    served = service.catalog.find(asked.model)
    is_quick = is_small(http) and served.has_quick_template and not asked.tools and asked.text is None
    prepared = await service.prepare(is_quick, prepare, asked, served, service.limits)
    room = served.context - len(prepared.prompt)
    request = Request(
        prompt=prepared.prompt,
        max_tokens=min(asked.max_output_tokens or room, room),
        sampling=sampling_of(
            asked.temperature, asked.top_p, asked.top_k, asked.min_p, asked.repetition_penalty, asked.seed
        ),
        stop=tuple(clean(text, "stop", service.limits) for text in stops_of(asked.stop)),
        ignore_eos=bool(asked.ignore_eos),
        constraint=prepared.constraint,
        client=client_of(http, asked.user or asked.safety_identifier),
    )
    generation = Generation(served, service.limits)
    generation.start([request])
    answer = _Answer(service, generation, request, asked, prepared.reads_calls)
    if asked.stream:
        return EventStream(answer.events(http.receive), generation)
    return await answer.whole(http.receive)


def prepare(asked: shapes.ResponsesRequest, served: Served, limits: Limits) -> Prepared:
    """Items to ids, formats and tools to grammars; raises ApiError 400. Slow: not for the event loop."""
    specs = [
        schema.ToolSpec(
            type="function",
            function=schema.FunctionSpec(name=tool.name, description=tool.description, parameters=tool.parameters),
        )
        for tool in asked.tools or []
    ]
    choice: str | schema.ToolChoice | None
    if isinstance(asked.tool_choice, shapes.FunctionToolChoice):
        choice = schema.ToolChoice(type="function", function=schema.FunctionChoice(name=asked.tool_choice.name))
    else:
        choice = asked.tool_choice
    tools, forced = chosen_tools(specs, choice, limits)
    messages = with_tools(_messages(asked, limits), tools, forced)
    prompt = tuple(served.chat_prompt(messages, "input"))
    wanted = asked.text.format if asked.text is not None else None
    constraint: Matched | None = None
    if tools:
        if wanted is not None and wanted.type != "text":
            raise invalid("text.format: together with tools; an answer follows one of them; leave one out", "text")
        constraint = served.grammars.tools(tools, forced, asked.parallel_tool_calls is not False, limits.tool_calls)
    elif isinstance(wanted, schema.ObjectFormat):
        constraint = served.grammars.json_object()
    elif isinstance(wanted, shapes.TextSchema):
        constraint = served.grammars.json_schema(wanted.schema, "text.format.schema")
    return Prepared(prompt, constraint, bool(tools))


def _messages(asked: shapes.ResponsesRequest, limits: Limits) -> list[Plain]:
    """The conversation as role and text."""
    found = [] if asked.instructions is None else [_said("system", asked.instructions, "instructions", limits)]
    if isinstance(asked.input, str):
        return [*found, _said("user", asked.input, "input", limits)]
    for number, item in enumerate(asked.input):
        place = f"input[{number}]"
        if isinstance(item, shapes.MessageItem):
            role = "system" if item.role == "developer" else item.role
            found.append(_said(role, _joined(item.content), f"{place}.content", limits))
        elif isinstance(item, shapes.CallItem):
            text = call_text(item.name, item.arguments)
            # Calls of one answer follow each other and belong into one turn.
            if number and isinstance(asked.input[number - 1], shapes.CallItem):
                found[-1]["content"] += "\n" + clean(text, place, limits)
            else:
                found.append(_said("assistant", text, place, limits))
        else:
            found.append(_said("tool", _joined(item.output), f"{place}.output", limits))
    return found


def _said(role: str, text: str, place: str, limits: Limits) -> Plain:
    return {"role": role, "content": clean(text, place, limits)}


def _joined(content: shapes.ItemContent) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


class _Answer:
    """Turns a generation's events into OpenAI's response objects."""

    def __init__(
        self,
        service: Service,
        generation: Generation,
        request: Request,
        asked: shapes.ResponsesRequest,
        reads_calls: bool,
    ) -> None:
        self._service, self._generation, self._request = service, generation, request
        self._reader = CallReader() if reads_calls else None
        self._output = Output()
        self._response = response_object(asked, generation.served.name, request.sampling)
        self._sequence = 0

    def _event(self, kind: str, fields: dict[str, object]) -> bytes:
        event = {"type": kind, "sequence_number": self._sequence} | fields
        self._sequence += 1
        return named_event(event)

    def _take(self, event: Piece | Finish) -> list[tuple[str, dict[str, object]]]:
        """What an event of the engine adds, as (type, fields)."""
        if isinstance(event, Piece):
            parts = self._reader.push(event.text) if self._reader else ([event.text] if event.text else [])
            return [row for part in parts for row in self._output.push(part)]
        checked_finish(event, self._request.constraint)
        counts = self._generation.counts
        counts.add(event, is_same_prompt=True)
        self._service.metrics.answer(
            self._generation.served.name,
            event.prompt_tokens,
            event.completion_tokens,
            event.cached_tokens,
            event.reason,
            event.seconds_to_first,
        )
        rest: Sequence = self._reader.finish() if self._reader else []
        rows = [row for part in rest for row in self._output.push(part)]
        return rows + self._output.finish(is_whole=event.reason == "stop")

    def _finished(self, reason: str) -> dict[str, object]:
        return self._response | self._output.ending(reason, self._generation.counts)

    async def events(self, receive: Receive) -> AsyncIterator[bytes]:
        """The events of a stream."""
        yield self._event("response.created", {"response": self._response})
        yield self._event("response.in_progress", {"response": self._response})
        try:
            async for item in self._generation.events(receive, self._service.limits.heartbeat_seconds):
                if item is None:
                    yield HEARTBEAT
                    continue
                for kind, fields in self._take(item[1]):
                    yield self._event(kind, fields)
                if isinstance(item[1], Finish):
                    done = self._finished(item[1].reason)
                    yield self._event(f"response.{done['status']}", {"response": done})
        except ApiError as error:
            failed = {"code": "server_error", "message": error.message}
            yield self._event("response.failed", {"response": self._response | {"status": "failed", "error": failed}})

    async def whole(self, receive: Receive) -> Response:
        """The answer in one piece."""
        reason = "stop"
        try:
            async for item in self._generation.events(receive):
                assert item is not None
                self._take(item[1])
                if isinstance(item[1], Finish):
                    reason = item[1].reason
        except Gone:
            return Response(status_code=499)
        return JSONResponse(self._finished(reason))
