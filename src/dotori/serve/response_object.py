"""The objects of /v1/responses: the response, its output items, and the events by which they grow."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict
from typing import Any

from dotori.model.sampling import Sampling
from dotori.serve import schema_responses as shapes
from dotori.serve.generation import Counts
from dotori.serve.tools import CallArguments, CallBegins, Part

Rows = list[tuple[str, dict[str, object]]]


def response_object(asked: shapes.ResponsesRequest, model: str, sampling: Sampling) -> dict[str, Any]:
    """A response that has just begun."""
    text_format: dict[str, Any] = {"type": "text"}
    if asked.text is not None and asked.text.format is not None:
        text_format = {key: value for key, value in asdict(asked.text.format).items() if value is not None}
        if text_format["type"] == "json_schema":
            text_format["strict"] = True
    return {
        "id": f"resp_{secrets.token_hex(16)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": sampling.temperature,
        "text": {"format": text_format, "verbosity": "medium"},
        "tool_choice": _choice(asked.tool_choice),
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": True,
            }
            for tool in asked.tools or []
        ],
        "top_logprobs": 0,
        "top_p": sampling.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": asked.user,
    }


def _choice(choice: str | shapes.FunctionToolChoice | None) -> Any:
    return "auto" if choice is None else choice if isinstance(choice, str) else asdict(choice)


class Output:
    """The output items of one response as they grow: a message, or calls of functions."""

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._open = False

    def push(self, part: Part) -> Rows:
        """What `part` adds."""
        if isinstance(part, str):
            return self._text(part)
        if isinstance(part, CallBegins):
            rows = self._close("completed")
            item = {
                "id": f"fc_{secrets.token_hex(12)}",
                "type": "function_call",
                "status": "in_progress",
                "call_id": f"call_{secrets.token_hex(12)}",
                "name": part.name,
                "arguments": "",
            }
            return [*rows, self._add(item)]
        return self._arguments(part)

    def _add(self, item: dict[str, Any]) -> tuple[str, dict[str, object]]:
        self._items.append(item)
        self._open = True
        return "response.output_item.added", {"output_index": len(self._items) - 1, "item": dict(item)}

    def _place(self) -> dict[str, object]:
        return {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1}

    def _text(self, text: str) -> Rows:
        rows: Rows = []
        if not self._open:
            item = {
                "id": f"msg_{secrets.token_hex(12)}",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            rows.append(self._add(item))
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            rows.append(("response.content_part.added", self._place() | {"content_index": 0, "part": dict(part)}))
            self._items[-1]["content"] = [part]
        self._items[-1]["content"][0]["text"] += text
        delta = {"content_index": 0, "delta": text, "logprobs": []}
        return [*rows, ("response.output_text.delta", self._place() | delta)]

    def _arguments(self, part: CallArguments) -> Rows:
        self._items[-1]["arguments"] += part.text
        return [("response.function_call_arguments.delta", self._place() | {"delta": part.text})]

    def _close(self, status: str) -> Rows:
        if not self._open:
            return []
        item, rows = self._items[-1], []
        self._open = False
        item["status"] = status
        if item["type"] == "message":
            part = item["content"][0]
            text = {"content_index": 0, "text": part["text"], "logprobs": []}
            rows.append(("response.output_text.done", self._place() | text))
            rows.append(("response.content_part.done", self._place() | {"content_index": 0, "part": dict(part)}))
        else:
            call = {"name": item["name"], "arguments": item["arguments"]}
            rows.append(("response.function_call_arguments.done", self._place() | call))
        rows.append(("response.output_item.done", {"output_index": len(self._items) - 1, "item": dict(item)}))
        return rows

    def finish(self, is_whole: bool) -> Rows:
        """Closes the last item; an answer without any becomes an empty message."""
        rows = [] if self._items else self._text("")
        return rows + self._close("completed" if is_whole else "incomplete")

    def ending(self, reason: str, counts: Counts) -> dict[str, Any]:
        """What changes in the response when it ends."""
        is_cut = reason == "length"
        return {
            "status": "incomplete" if is_cut else "completed",
            "completed_at": int(time.time()),
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": self._items,
            "usage": {
                "input_tokens": counts.prompt,
                "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": 0},
                "output_tokens": counts.completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": counts.prompt + counts.completion,
            },
        }
