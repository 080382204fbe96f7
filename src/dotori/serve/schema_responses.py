"""What /v1/responses takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field
from pydantic import Tag as Member

from dotori.serve.limits import Limits
from dotori.serve.schema import (
    CallId,
    Count,
    EmptyList,
    Flag,
    FunctionName,
    JsonSchema,
    Metadata,
    Name,
    No,
    ObjectFormat,
    Penalty,
    PlainFormat,
    Seed,
    Share,
    Stop,
    Tag,
    Temperature,
    Text,
    TopK,
    shape,
)


@shape
class InputPart:
    """A piece of text of a message; what the server itself gave may be sent back."""

    type: Literal["input_text", "output_text", "text"]
    text: Text
    annotations: EmptyList = None
    logprobs: EmptyList = None


ItemContent = Text | Annotated[list[InputPart], Field(fail_fast=True, min_length=1, max_length=Limits.messages)]
ItemStatus = Literal["in_progress", "completed", "incomplete"] | None


@shape
class MessageItem:
    """Something said."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: ItemContent
    id: CallId | None = None
    status: ItemStatus = None
    phase: Literal["commentary", "final_answer"] | None = None


@shape
class CallItem:
    """A function that the assistant called."""

    type: Literal["function_call"]
    call_id: CallId
    name: FunctionName
    arguments: Text
    id: CallId | None = None
    status: ItemStatus = None


@shape
class ResultItem:
    """What a called function gave back."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: ItemContent
    id: CallId | None = None
    status: ItemStatus = None


def _which(value: Any) -> str | None:
    """`type` may be left out of a message."""
    return value.get("type", "message") if isinstance(value, dict) else getattr(value, "type", None)


InputItem = Annotated[
    Annotated[MessageItem, Member("message")]
    | Annotated[CallItem, Member("function_call")]
    | Annotated[ResultItem, Member("function_call_output")],
    Discriminator(_which),
]


@shape
class FunctionTool:
    """A function that the model may call."""

    type: Literal["function"]
    name: FunctionName
    description: Text | None = None
    parameters: JsonSchema | None = None
    strict: Flag | None = None


@shape
class FunctionToolChoice:
    """The one function that must be called."""

    type: Literal["function"]
    name: FunctionName


@shape
class TextSchema:
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    name: FunctionName
    schema: JsonSchema
    description: Text | None = None
    strict: Flag | None = None


@shape
class TextSettings:
    """How the text of the answer looks."""

    format: Annotated[PlainFormat | ObjectFormat | TextSchema, Field(discriminator="type")] | None = None
    verbosity: Literal["medium"] | None = None


@shape
class ReasoningSettings:
    """The models here do not reason apart from their answer."""

    effort: Literal["none"] | None = None
    summary: None = None


@shape
class ResponsesStreamOptions:
    """Accepted at its neutral value."""

    include_obfuscation: No = None


@shape
class ResponsesRequest:
    """POST /v1/responses. Nothing is stored: send the whole conversation each time."""

    model: Name
    input: Text | Annotated[list[InputItem], Field(fail_fast=True, min_length=1, max_length=Limits.messages)]
    instructions: Text | None = None
    stream: Flag | None = None
    stream_options: ResponsesStreamOptions | None = None
    max_output_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repetition_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: Stop = None
    ignore_eos: Flag | None = None
    text: TextSettings | None = None
    tools: Annotated[list[FunctionTool], Field(fail_fast=True, max_length=Limits.tools)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    user: Tag | None = None
    safety_identifier: Tag | None = None
    prompt_cache_key: Tag | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory"] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "default"] | None = None
    truncation: Literal["disabled"] | None = None
    reasoning: ReasoningSettings | None = None
    store: Flag | None = None
    include: EmptyList = None
    background: No = None
    background_options: None = None
    access_programs: None = None
    context_management: None = None
    conversation: None = None
    image: None = None
    max_tool_calls: None = None
    moderation: None = None
    previous_response_id: None = None
    prompt: None = None
    prompt_cache_options: None = None
    top_logprobs: Literal[0] | None = None
