"""The server through the official client, against the session alone."""

import base64
import json
import math
import struct
from concurrent.futures import ThreadPoolExecutor

import openai
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_server import is_idle, until

from dotori.runtime.session import Session
from dotori.tokenizer.stream import StreamDecoder

MODEL = "acorn"
SAID = [{"role": "user", "content": "도토리는 어디에 있나요?"}]
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 8},
        "days": {"$ref": "#/$defs/days"},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
    "$defs": {"days": {"type": "integer", "minimum": 0, "maximum": 9}},
}
CLOCK = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "날씨", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "clock", "parameters": CLOCK}},
]
FLAT_TOOLS = [{"type": "function", "strict": True} | tool["function"] for tool in TOOLS]


@pytest.fixture(scope="module")
def alone(model_file) -> Session:
    return Session(model_file, threads=1)


@pytest.fixture(scope="module")
def client(server) -> openai.OpenAI:
    return server.client()


def text_of(session: Session, ids, **settings) -> str:
    decoder = StreamDecoder(session.tokenizer)
    return "".join(decoder.push(i) for i in session.generate(ids, **settings)) + decoder.finish()


def streamed(chunks) -> tuple[str, list]:
    found = list(chunks)
    return "".join(c.choices[0].delta.content or "" for c in found if c.choices), found


def test_models(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "dotori"
    with pytest.raises(openai.NotFoundError, match="served here: acorn"):
        client.models.retrieve("gpt-4o")


@pytest.mark.parametrize("seed", range(6))
def test_chat_says_what_the_session_says(client, alone, seed):
    ids = alone.chat(SAID)
    for changes in ({"temperature": 0.0}, {"temperature": 1.5, "seed": seed, "top_p": 0.9}):
        expected = text_of(alone, ids, max_tokens=24, **changes)
        answer = client.chat.completions.create(model=MODEL, messages=SAID, max_tokens=24, **changes)
        assert answer.choices[0].message.content == expected
        assert answer.usage.prompt_tokens == len(ids)
        text, chunks = streamed(
            client.chat.completions.create(model=MODEL, messages=SAID, max_tokens=24, stream=True, **changes)
        )
        assert text == expected
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1].choices[0].finish_reason == answer.choices[0].finish_reason


def test_extensions_reach_the_sampler(client, alone):
    extra = {"top_k": 3, "min_p": 0.1, "repetition_penalty": 1.3}
    expected = text_of(alone, alone.chat(SAID), max_tokens=16, temperature=1.0, seed=7, **extra)
    answer = client.chat.completions.create(
        model=MODEL, messages=SAID, max_tokens=16, temperature=1.0, seed=7, extra_body=extra
    )
    assert answer.choices[0].message.content == expected


def test_usage_comes_as_a_last_chunk_when_asked_for(client):
    _, chunks = streamed(
        client.chat.completions.create(
            model=MODEL, messages=SAID, max_tokens=5, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + chunks[-1].usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_repeated_prompt_is_read_from_the_cache(client):
    for _ in range(2):
        answer = client.chat.completions.create(model=MODEL, messages=SAID, max_tokens=2, temperature=0)
    assert answer.usage.prompt_tokens_details.cached_tokens > 0


def test_several_choices(client):
    asked = {"model": MODEL, "messages": SAID, "n": 3, "max_tokens": 12, "seed": 5, "temperature": 1.2}
    answer = client.chat.completions.create(**asked)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    texts = ["", "", ""]
    for chunk in client.chat.completions.create(stream=True, **asked):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [choice.message.content for choice in answer.choices]


def test_stop_strings_and_length(client):
    asked = {"model": MODEL, "messages": SAID, "temperature": 1.0, "seed": 11, "extra_body": {"ignore_eos": True}}
    whole = client.chat.completions.create(max_tokens=60, **asked).choices[0]
    assert whole.finish_reason == "length"
    stop = next(word for word in whole.message.content if word.isascii() and word.isprintable())
    cut = client.chat.completions.create(max_tokens=60, stop=[stop, "없는말"], **asked).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.message.content == whole.message.content.split(stop)[0]
    short = client.chat.completions.create(max_completion_tokens=3, **asked)
    assert (short.usage.completion_tokens, short.choices[0].finish_reason) == (3, "length")


def test_logprobs(client):
    asked = {"model": MODEL, "messages": SAID, "max_tokens": 8, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    asked["extra_body"] = {"ignore_eos": True}
    answer = client.chat.completions.create(**asked).choices[0]
    rows = answer.logprobs.content
    assert len(rows) == 8
    for row in rows:
        assert len(row.top_logprobs) == 3
        assert row.logprob == max(top.logprob for top in row.top_logprobs) <= 0
        assert bytes(row.bytes).decode(errors="replace") == row.token
    joined = b"".join(bytes(row.bytes) for row in rows).decode(errors="replace")
    assert joined == answer.message.content
    _, chunks = streamed(client.chat.completions.create(stream=True, **asked))
    again = [row for chunk in chunks if chunk.choices[0].logprobs for row in chunk.choices[0].logprobs.content]
    assert [row.bytes for row in again] == [row.bytes for row in rows]


def test_completions(client, alone):
    prompt = "다람쥐가 "
    ids = [alone.bos_id, *alone.tokenize(prompt)]
    expected = text_of(alone, ids, max_tokens=16)
    for given_as in (prompt, ids, [prompt], [ids]):
        answer = client.completions.create(model=MODEL, prompt=given_as, temperature=0)
        assert answer.choices[0].text == expected
    pieces = client.completions.create(model=MODEL, prompt=prompt, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == expected
    many = client.completions.create(model=MODEL, prompt=["a", "b"], n=2, max_tokens=3, logprobs=2)
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert all(len(choice.logprobs.tokens) <= 3 for choice in many.choices)


def test_embeddings(client):
    texts = ["도토리", "acorn", "도토리"]
    plain = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    assert [row.index for row in plain.data] == [0, 1, 2]
    assert math.isclose(sum(x * x for x in plain.data[0].embedding), 1, rel_tol=1e-4)
    assert plain.data[0].embedding == plain.data[2].embedding != plain.data[1].embedding
    coded = client.embeddings.create(model=MODEL, input=texts[0], encoding_format="base64").data[0].embedding
    assert list(struct.unpack("<32f", base64.b64decode(coded))) == pytest.approx(plain.data[0].embedding)
    assert client.embeddings.create(model=MODEL, input=texts[0]).data[0].embedding == pytest.approx(
        plain.data[0].embedding
    )


def test_a_conversation_with_parts_and_all_roles(client, alone):
    said = [
        {"role": "developer", "content": "짧게"},
        {"role": "user", "content": [{"type": "text", "text": "두 "}, {"type": "text", "text": "조각"}]},
        {"role": "assistant", "content": "네"},
        {"role": "user", "content": "다음"},
    ]
    plain = [
        {"role": "system", "content": "짧게"},
        {"role": "user", "content": "두 조각"},
        *said[2:],
    ]
    answer = client.chat.completions.create(model=MODEL, messages=said, max_tokens=9, temperature=0)
    assert answer.choices[0].message.content == text_of(alone, alone.chat(plain), max_tokens=9)


def test_text_is_composed_before_the_model_sees_it(client):
    asked = {"model": MODEL, "max_tokens": 4, "temperature": 0}
    one = client.chat.completions.create(messages=[{"role": "user", "content": "도토리"}], **asked)
    jamo = "\u1103\u1169\u1110\u1169\u1105\u1175"
    two = client.chat.completions.create(messages=[{"role": "user", "content": jamo}], **asked)
    assert one.usage.prompt_tokens == two.usage.prompt_tokens
    assert one.choices[0].message.content == two.choices[0].message.content


class Acorn(pydantic.BaseModel):
    kind: str = pydantic.Field(max_length=6)
    count: int = pydantic.Field(ge=0, le=99)


@pytest.mark.parametrize("seed", range(4))
def test_json_of_a_schema(client, seed):
    asked = {"model": MODEL, "messages": SAID, "seed": seed, "temperature": 1.0}
    answer = client.chat.completions.parse(response_format=Acorn, **asked)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.parsed.count <= 99
    with client.chat.completions.stream(response_format=Acorn, **asked) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == answer.choices[0].message.parsed
    assert client.responses.parse(model=MODEL, input="x", text_format=Acorn, temperature=1.0).output_parsed.count <= 99


def test_a_json_object(client):
    asked = {"model": MODEL, "messages": SAID, "seed": 3, "max_tokens": 200}
    answer = client.chat.completions.create(response_format={"type": "json_object"}, **asked).choices[0]
    assert answer.message.content.startswith("{")
    if answer.finish_reason == "stop":
        assert isinstance(json.loads(answer.message.content), dict)


@pytest.mark.parametrize("seed", range(4))
def test_tools(client, seed):
    asked = {"model": MODEL, "messages": SAID, "tools": TOOLS, "seed": seed, "temperature": 1.0}
    answer = client.chat.completions.create(tool_choice="required", **asked).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    for call in answer.message.tool_calls:
        arguments = json.loads(call.function.arguments)
        assert set(arguments) == ({"city", "days"} if call.function.name == "weather" else set())
    named = {"type": "function", "function": {"name": "weather"}}
    one = client.chat.completions.create(tool_choice=named, parallel_tool_calls=False, **asked).choices[0]
    assert [call.function.name for call in one.message.tool_calls] == ["weather"]
    with client.chat.completions.stream(tool_choice=named, parallel_tool_calls=False, **asked) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.message.tool_calls[0].function.arguments == one.message.tool_calls[0].function.arguments
    free = client.chat.completions.create(tool_choice="auto", max_tokens=20, **asked).choices[0]
    assert free.message.content is not None
    none = client.chat.completions.create(tool_choice="none", max_tokens=20, **asked).choices[0]
    assert none.message.tool_calls is None


def test_a_tool_call_is_streamed_by_index_with_its_name_first(client):
    deltas = [
        call
        for chunk in client.chat.completions.create(
            model=MODEL, messages=SAID, tools=TOOLS[:1], tool_choice="required", stream=True, parallel_tool_calls=False
        )
        for call in chunk.choices[0].delta.tool_calls or []
    ]
    assert deltas[0].id.startswith("call_")
    assert (deltas[0].function.name, deltas[0].function.arguments) == ("weather", "")
    assert all(delta.id is None and delta.function.name is None and delta.index == 0 for delta in deltas[1:])
    assert set(json.loads("".join(delta.function.arguments for delta in deltas))) == {"city", "days"}


def test_results_of_tools_go_back(client):
    call = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    said = [
        *SAID,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=said, tools=TOOLS, max_tokens=5)
    assert answer.usage.completion_tokens <= 5


def test_responses(client, alone):
    expected = text_of(alone, alone.chat(SAID), max_tokens=12)
    asked = {"model": MODEL, "input": SAID[0]["content"], "max_output_tokens": 12, "temperature": 0}
    answer = client.responses.create(**asked)
    assert answer.output_text == expected
    events = list(client.responses.create(stream=True, **asked))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:-1] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    assert kinds[-1] == f"response.{answer.status}"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == expected
    assert events[-1].response.output_text == expected


def test_responses_with_tools(client):
    asked = {"model": MODEL, "input": "날씨?", "tools": FLAT_TOOLS, "tool_choice": "required", "temperature": 1.0}
    answer = client.responses.create(**asked)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert calls
    back = [
        {"role": "user", "content": "날씨?"},
        *[item.model_dump(exclude_none=True) for item in calls],
        *[{"type": "function_call_output", "call_id": item.call_id, "output": "맑음"} for item in calls],
    ]
    assert client.responses.create(model=MODEL, input=back, max_output_tokens=4).usage.output_tokens <= 4
    with client.responses.stream(parallel_tool_calls=False, **asked) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert "response.function_call_arguments.done" in [event.type for event in events]
    assert json.loads(final.output[0].arguments) is not None


def test_the_context_has_an_edge(server, client, alone):
    context = alone.context
    word = next(i for i in range(alone.vocab_size) if alone.tokenizer.token_bytes(i) == b"a")

    def ask(length, **more):
        return client.completions.create(model=MODEL, prompt=[word] * length, extra_body={"ignore_eos": True}, **more)

    last = ask(context - 1, max_tokens=100)
    assert (last.usage.completion_tokens, last.choices[0].finish_reason) == (1, "length")
    for length in (context, context + 1):
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as caught:
                ask(length, stream=stream)
            assert caught.value.code == "context_length_exceeded"
            assert str(length) in str(caught.value)
            assert str(context) in str(caught.value)
    with pytest.raises(openai.BadRequestError, match="at least") as caught:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "도토리" * 100000}], stream=True
        )
    assert caught.value.code == "context_length_exceeded"


def test_many_at_once_get_what_one_gets_alone(server, client):
    def ask(number):
        said = [{"role": "user", "content": f"canary {number} " * (1 + number % 5)}]
        return (
            client.chat.completions.create(
                model=MODEL, messages=said, max_tokens=16, temperature=0, extra_body={"ignore_eos": True}
            )
            .choices[0]
            .message.content
        )

    solo = [ask(number) for number in range(24)]
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(ask, range(24))) == solo
    assert until(lambda: is_idle(server))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40),
    seed=st.integers(0, 2**63 - 1),
    temperature=st.sampled_from([0.0, 0.8, 2.0]),
    stop=st.lists(st.text("ab가 ", min_size=1, max_size=3), max_size=3),
)
def test_a_stream_joined_is_the_answer_in_one_piece(client, text, seed, temperature, stop):
    asked = {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 30,
        "seed": seed,
        "temperature": temperature,
        "stop": stop,
    }
    whole = client.chat.completions.create(**asked).choices[0].message.content
    joined, _ = streamed(client.chat.completions.create(stream=True, **asked))
    assert joined == whole
    assert not any(word in whole for word in stop)


def test_the_official_clients_parameters_are_all_known(server):
    from openai.types import completion_create_params, embedding_create_params
    from openai.types.chat import completion_create_params as chat_params
    from openai.types.responses import response_create_params

    from dotori.serve import schema, schema_responses

    pairs = [
        (chat_params.CompletionCreateParamsBase, schema.ChatRequest),
        (completion_create_params.CompletionCreateParamsBase, schema.CompletionRequest),
        (embedding_create_params.EmbeddingCreateParams, schema.EmbeddingRequest),
        (response_create_params.ResponseCreateParamsBase, schema_responses.ResponsesRequest),
    ]
    for documented, ours in pairs:
        assert not set(documented.__annotations__) - set(schema.field_names(ours))
