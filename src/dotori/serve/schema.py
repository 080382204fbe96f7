"""What each endpoint takes: OpenAI's documented fields, checked strictly, and a few extensions.

A documented field that the server cannot honour is taken at its neutral value only, so that nobody believes it works.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass as pydantic_dataclass

from dotori.serve.limits import Limits

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def shape(cls: type[T]) -> type[T]:
    """Class decorator: a frozen dataclass made from a JSON object, unknown keys refused."""
    config = ConfigDict(extra="forbid")
    return partial(pydantic_dataclass, frozen=True, kw_only=True, config=config)()(cls)  # type: ignore[return-value]


Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
Name = Annotated[str, Strict(), Field(min_length=1, max_length=256)]
FunctionName = Annotated[str, Strict(), Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
CallId = Annotated[str, Strict(), Field(min_length=1, max_length=128)]
Tag = Annotated[str, Strict(), Field(max_length=512)]
Count = Annotated[int, Strict(), Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
Choices = Annotated[int, Strict(), Field(ge=1, le=Limits.choices)]
Top = Annotated[int, Strict(), Field(ge=0, le=Limits.top_logprobs)]
TopK = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
Temperature = Annotated[float, Strict(), Field(ge=0, le=2)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Penalty = Annotated[float, Strict(), Field(ge=0.01, le=100)]
StopText = Annotated[str, Strict(), Field(min_length=1, max_length=Limits.stop_characters)]
Stop = StopText | Annotated[list[StopText], Field(fail_fast=True, max_length=Limits.stops)] | None
TokenId = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True, min_length=1)]
Metadata = Annotated[dict[str, Any], Field(max_length=16)]
JsonSchema = dict[str, Any]

Zero = Annotated[float, Strict(), Field(ge=0, le=0)] | None
No = Literal[False] | None
EmptyMap = Annotated[dict[str, Any], Field(max_length=0)] | None
EmptyList = Annotated[list[Any], Field(fail_fast=True, max_length=0)] | None


@shape
class TextPart:
    """A piece of a message's content."""

    type: Literal["text"]
    text: Text


Content = Text | Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=Limits.messages)]


@shape
class Instruction:
    """What the model is told before the conversation; `developer` means the same."""

    role: Literal["system", "developer"]
    content: Content
    name: Tag | None = None


@shape
class UserMessage:
    """What the user said."""

    role: Literal["user"]
    content: Content
    name: Tag | None = None


@shape
class CalledFunction:
    """Which function an assistant called, its arguments as JSON text."""

    name: FunctionName
    arguments: Text


@shape
class ToolCall:
    """A call that an assistant made."""

    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction


ToolCalls = Annotated[list[ToolCall], Field(fail_fast=True, max_length=Limits.tool_calls)]


@shape
class AssistantMessage:
    """What the assistant answered, and the tools it called."""

    role: Literal["assistant"]
    content: Content | None = None
    name: Tag | None = None
    tool_calls: ToolCalls | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None


@shape
class ToolMessage:
    """What a called tool gave back."""

    role: Literal["tool"]
    content: Content
    tool_call_id: CallId


ChatMessage = Annotated[
    Instruction | UserMessage | AssistantMessage | ToolMessage,
    Field(discriminator="role"),
]


@shape
class FunctionSpec:
    """A function that the model may call."""

    name: FunctionName
    description: Text | None = None
    parameters: JsonSchema | None = None
    strict: Flag | None = None


@shape
class ToolSpec:
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: FunctionSpec


@shape
class FunctionChoice:
    """The name of the function that must be called."""

    name: FunctionName


@shape
class ToolChoice:
    """The one tool that must be called."""

    type: Literal["function"]
    function: FunctionChoice


@shape
class PlainFormat:
    """Any text."""

    type: Literal["text"]


@shape
class ObjectFormat:
    """Some JSON object."""

    type: Literal["json_object"]


@shape
class NamedSchema:
    """The schema of an answer; it is always followed strictly."""

    name: FunctionName
    schema: JsonSchema | None = None
    description: Text | None = None
    strict: Flag | None = None


@shape
class SchemaFormat:
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


@shape
class StreamOptions:
    """include_usage: one more chunk with the token counts."""

    include_usage: Flag | None = None
    include_obfuscation: No = None


@shape
class ChatRequest:
    """POST /v1/chat/completions."""

    model: Name
    messages: Annotated[list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=Limits.messages)]
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repetition_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: Stop = None
    n: Choices | None = None
    logprobs: Flag | None = None
    top_logprobs: Top | None = None
    ignore_eos: Flag | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[ToolSpec], Field(fail_fast=True, max_length=Limits.tools)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    user: Tag | None = None
    safety_identifier: Tag | None = None
    prompt_cache_key: Tag | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory"] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: No = None
    presence_penalty: Zero = None
    frequency_penalty: Zero = None
    logit_bias: EmptyMap = None
    modalities: Annotated[list[Literal["text"]], Field(fail_fast=True, max_length=1)] | None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    audio: None = None
    prediction: None = None
    moderation: None = None
    prompt_cache_options: None = None
    web_search_options: None = None
    functions: EmptyList = None
    function_call: Literal["none"] | None = None


PromptItem = Text | TokenIds
Prompts = (
    Text
    | TokenIds
    | Annotated[list[Text], Field(fail_fast=True, min_length=1, max_length=Limits.prompts)]
    | Annotated[list[TokenIds], Field(fail_fast=True, min_length=1, max_length=Limits.prompts)]
)


@shape
class CompletionRequest:
    """POST /v1/completions."""

    model: Name
    prompt: Prompts
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repetition_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: Stop = None
    n: Choices | None = None
    best_of: Literal[1] | None = None
    logprobs: Annotated[int, Strict(), Field(ge=0, le=5)] | None = None
    ignore_eos: Flag | None = None
    user: Tag | None = None
    echo: No = None
    suffix: Literal[""] | None = None
    presence_penalty: Zero = None
    frequency_penalty: Zero = None
    logit_bias: EmptyMap = None


@shape
class EmbeddingRequest:
    """POST /v1/embeddings."""

    model: Name
    input: (
        Text
        | TokenIds
        | Annotated[list[Text], Field(fail_fast=True, min_length=1, max_length=Limits.embeddings)]
        | Annotated[list[TokenIds], Field(fail_fast=True, min_length=1, max_length=Limits.embeddings)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    user: Tag | None = None


DocumentText = Annotated[str, Strict(), Field(max_length=Limits.document_characters)]


@shape
class RerankDocument:
    """A document as some clients send it."""

    text: DocumentText


@shape
class RerankRequest:
    """POST /v1/rerank."""

    model: Name | None = None
    query: DocumentText
    documents: Annotated[
        list[DocumentText | RerankDocument], Field(fail_fast=True, min_length=1, max_length=Limits.documents)
    ]
    top_n: Count | None = None
    embeddings: Flag | None = None
    return_documents: Flag | None = None
    user: Tag | None = None


def field_names(of: type) -> list[str]:
    """The fields of a request."""
    return [field.name for field in fields(of)]  # type: ignore[arg-type]
