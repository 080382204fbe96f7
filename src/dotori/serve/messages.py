"""Messages of a request as the model's chat template takes them: role and plain text, in NFC."""

from __future__ import annotations

from collections.abc import Sequence

from dotori.serve import schema
from dotori.serve.errors import invalid
from dotori.serve.grammar import Tool
from dotori.serve.limits import Limits
from dotori.serve.parse import clean
from dotori.serve.tools import call_text, tool_prompt

Plain = dict[str, str]


def plain_messages(messages: Sequence[schema.ChatMessage], limits: Limits) -> list[Plain]:
    """One {"role", "content"} per message; calls of tools become the text that the model would have written."""
    found = []
    for number, message in enumerate(messages):
        place = f"messages[{number}].content"
        text = "" if message.content is None else joined(message.content)
        if isinstance(message, schema.AssistantMessage):
            calls = [call_text(call.function.name, call.function.arguments) for call in message.tool_calls or []]
            if message.content is None and not calls:
                raise invalid(f"{place}: missing; an assistant's message has content or tool_calls; add one", place)
            text = "\n".join([*([text] if text else []), *calls])
        role = "system" if message.role == "developer" else message.role
        found.append({"role": role, "content": clean(text, place, limits)})
    return found


def joined(content: schema.Content) -> str:
    """The text of a content, which may come in parts."""
    return content if isinstance(content, str) else "".join(part.text for part in content)


def with_tools(messages: list[Plain], tools: Sequence[Tool], forced: bool) -> list[Plain]:
    """`messages` with a first system message that tells of the tools; what was said there before stays in front."""
    if not tools:
        return messages
    text = tool_prompt(tools, forced)
    if messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
