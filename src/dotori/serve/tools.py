"""Tool calls for models whose templates know none: a system message tells of the tools, calls are text of one form.

<tool_call>{"name": "weather", "arguments": {"city": "Seoul"}}</tool_call>
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dotori.serve.grammar import CALL_END, CALL_START, Tool

_HEAD = re.compile(re.escape(CALL_START) + r'\{"name": "([a-zA-Z0-9_-]+)", "arguments": (?=\{)')


@dataclass(frozen=True)
class CallBegins:
    """The model has begun to call the function `name`."""

    index: int
    name: str


@dataclass(frozen=True)
class CallArguments:
    """The next characters of the arguments of call `index`."""

    index: int
    text: str


Part = str | CallBegins | CallArguments


def tool_prompt(tools: Sequence[Tool], forced: bool) -> str:
    """What the model is told about its tools."""
    lines = ["You can call these functions:"]
    lines += [
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}, ensure_ascii=False
        )
        for tool in tools
    ]
    lines.append(f'To call one, answer only: {CALL_START}{{"name": NAME, "arguments": OBJECT}}{CALL_END}')
    lines.append("You must call a function now." if forced else "Answer in plain text when no function is needed.")
    return "\n".join(lines)


def call_text(name: str, arguments: str) -> str:
    """A call as the model itself would have written it."""
    return f'{CALL_START}{{"name": {json.dumps(name)}, "arguments": {arguments}}}{CALL_END}'


class CallReader:
    """Tells calls from text in an answer that comes in pieces."""

    def __init__(self) -> None:
        self._held, self._mode, self.calls = "", "start", 0
        self._depth, self._in_string, self._escaped = 0, False, False

    def push(self, text: str) -> list[Part]:
        """The parts that `text` completes."""
        if self._mode == "text":
            return [text] if text else []
        self._held += text
        parts: list[Part] = []
        while self._step(parts):
            pass
        return parts

    def finish(self) -> list[Part]:
        """What was held back in the hope of a call, unless it is the beginning of one that was cut off."""
        rest, self._held = self._held, ""
        is_text = self._mode == "start" and not self.calls and not rest.lstrip(" \n").startswith(CALL_START)
        return [rest] if rest and is_text else []

    def _step(self, parts: list[Part]) -> bool:
        """Takes one part out of the held text; whether there may be another."""
        if self._mode == "arguments":
            return self._arguments(parts)
        stripped = self._held.lstrip(" \n")
        if self._mode == "end":
            if stripped.startswith("}" + CALL_END):
                self._held, self._mode = stripped[len(CALL_END) + 1 :], "start"
                return True
            return False
        if head := _HEAD.match(stripped):
            parts.append(CallBegins(self.calls, head[1]))
            self._held, self._mode = stripped[head.end() :], "arguments"
            self._depth, self._in_string, self._escaped = 0, False, False
            return True
        if not self.calls and not CALL_START.startswith(stripped[: len(CALL_START)]):
            parts.append(self._held)
            self._held, self._mode = "", "text"
        return False

    def _arguments(self, parts: list[Part]) -> bool:
        for place, character in enumerate(self._held):
            self._read(character)
            if self._depth == 0:
                parts.append(CallArguments(self.calls, self._held[: place + 1]))
                self._held, self._mode, self.calls = self._held[place + 1 :], "end", self.calls + 1
                return True
        if self._held:
            parts.append(CallArguments(self.calls, self._held))
        self._held = ""
        return False

    def _read(self, character: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
