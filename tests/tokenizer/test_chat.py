import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.files import atomic_write
from dotori.tokenizer.byte_level import VocabularyParts, byte_characters, tokenizer_files
from dotori.tokenizer.chat import CHATML, Message, chat_stop_ids, encode_chat, encode_chats
from dotori.tokenizer.load import Tokenizer, load_tokenizer, tokenizer_from_parts

TALK = [
    {"role": "system", "content": "너는 다람쥐다."},
    {"role": "user", "content": "도토리가 뭐야?"},
    {"role": "assistant", "content": "작은 열매예요."},
    {"role": "user", "content": "Thanks!\n\nAnother one?"},
    {"role": "assistant", "content": "Here you are  two."},
]

# The published templates' ways of going about it: trimming, concatenating, indexing from the end, namespaces, raising.
LLAMA3 = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\nTools:' }}{{- tools | tojson }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and not(message.content.startswith('<tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.last and loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
MISTRAL = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}
{%- set system = messages[0]['content'] + '\\n\\n' %}{% else %}
{%- set loop_messages = messages %}{% set system = '' %}{% endif %}
{%- for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"""
CONTROL = [
    "<|begin|>",
    "<|end|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
]


def _parts(template: str | None) -> VocabularyParts:
    tokens = CONTROL + byte_characters()
    return VocabularyParts(tokens, [], list(range(len(CONTROL))), [], "qwen2", 0, 1, 1, template)


def _foreign(template: str | None) -> Tokenizer:
    return tokenizer_from_parts(_parts(template), "foreign")


def _masked(tokenizer: Tokenizer, messages: list[Message]) -> str:
    """The text that carries loss, control tokens spelled out."""
    tokens = encode_chat(tokenizer, messages)
    names = {index: spelling.encode() for spelling, index in tokenizer.special.items()}
    picked = [index for index, masked in zip(tokens.ids, tokens.mask, strict=True) if masked]
    return b"".join(names.get(index) or tokenizer.token_bytes(index) for index in picked).decode()


@pytest.mark.parametrize("template", [CHATML, LLAMA3, QWEN, MISTRAL], ids=["chatml", "llama3", "qwen", "mistral"])
@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("talk", [TALK, TALK[1:], TALK[:2], TALK[1:4]])
def test_ids_are_those_of_transformers(template: str, prompt: bool, talk: list[Message], tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    for name, data in tokenizer_files(_parts(template)).items():
        atomic_write(tmp_path / name, data)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = theirs.apply_chat_template(talk, add_generation_prompt=prompt, return_dict=False)
    assert encode_chat(load_tokenizer(tmp_path), talk, add_generation_prompt=prompt).ids == expected


@pytest.mark.parametrize(
    ("template", "stop"),
    [(CHATML, "<|im_end|>"), (LLAMA3, "<|eot_id|>"), (QWEN, "<|im_end|>"), (MISTRAL, "<|end|>")],
)
def test_the_mask_covers_assistant_contents_and_stop_tokens(template: str, stop: str):
    expected = f"작은 열매예요.{stop}Here you are  two.{stop}"
    assert _masked(_foreign(template), TALK) == expected
    assert _masked(_foreign(template), TALK[:2]) == ""


def test_stop_ids():
    assert chat_stop_ids(_foreign(CHATML)) == [1, 3]
    assert chat_stop_ids(_foreign(LLAMA3)) == [1, 6]
    assert chat_stop_ids(_foreign(None)) == [1]


def test_chatml_without_jinja_equals_chatml_with(tokenizer: Tokenizer):
    slow = tokenizer_from_parts(dataclasses.replace(tokenizer.parts(), chat_template=CHATML + "{# slow #}"), "slow")
    talk = [*TALK, {"role": "tool", "content": " <|im_end|> "}]
    for prompt in (False, True):
        assert encode_chat(tokenizer, talk, prompt) == encode_chat(slow, talk, prompt)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="<|im_startend>eot_id \n가a{%}\ue000\ue0010:"), min_size=1, max_size=4))
def test_contents_never_become_control_tokens(tokenizer: Tokenizer, contents: list[str]):
    spelled = ["<|im_end|>", "<|eot_id|>", "{{ bos_token }}", "\ue0000:0\ue001", "<|im_", ""]
    for model in (tokenizer, _foreign(LLAMA3), _foreign(CHATML)):
        plain = [{"role": "user", "content": "x"} for _ in contents]
        harmless = [index for index in encode_chat(model, plain).ids if index in model.special.values()]
        for attack in spelled:
            talk = [{"role": "user", "content": content + attack + content} for content in contents]
            tokens = encode_chat(model, talk)
            assert [index for index in tokens.ids if index in model.special.values()] == harmless
            assert sum(tokens.mask) == 0


def test_many_equal_one_by_one(tokenizer: Tokenizer):
    talks = [TALK, TALK[:2], TALK[1:]]
    assert encode_chats(tokenizer, talks) == [encode_chat(tokenizer, talk) for talk in talks]


def test_the_prompt_is_the_beginning_of_the_conversation(tokenizer: Tokenizer):
    prompt, whole = encode_chat(tokenizer, TALK[:4], add_generation_prompt=True), encode_chat(tokenizer, TALK)
    assert whole.ids[: len(prompt.ids)] == prompt.ids
    assert whole.mask[len(prompt.ids)] == 1
    assert (whole.ids[0], whole.ids[1]) == (0, 1)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}<|end|>", "rewrites"),
        ("{% for m in messages %}{{ m.content }}\n###{% endfor %}", "control token must end"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "control token must end"),
        ("{{ messages[0].content }}<|end|>", "drops messages"),
        ("{{ raise_exception('nothing fits') }}", "nothing fits"),
        (MISTRAL.replace("!=", "=="), "must alternate"),
    ],
)
def test_templates_that_cannot_be_used(template: str | None, message: str):
    talk = [{"role": "user", "content": "tell me"}, {"role": "assistant", "content": "so"}]
    with pytest.raises(UserError, match=message):
        encode_chat(_foreign(template), talk)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "hello",
        {"role": "user", "content": "a"},
        ["hello"],
        [{"role": "user"}],
        [{"content": "a"}],
        [{"role": "<|im_end|>", "content": "a"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": ["a"]}],
    ],
)
def test_bad_messages_are_named(tokenizer: Tokenizer, messages):
    with pytest.raises(UserError, match="messages"):
        encode_chat(tokenizer, messages)
