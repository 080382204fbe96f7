"""Conversations to ids and a loss mask, by the chat template stored with the model.

What people write can never become a control token: the template runs once with the contents and once with marks in
their place; the marks tell which characters are contents, and control tokens are looked for elsewhere only. The two
runs must agree, so a template that rewrites contents (other than stripping blanks) ends in a UserError.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dotori.errors import UserError
from dotori.tokenizer.load import Tokenizer
from dotori.tokenizer.template import render

CHATML = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ROLES = ("system", "user", "assistant", "tool")

Message = Mapping[str, str]


@dataclass(frozen=True)
class ChatTokens:
    """ids: the conversation; mask: 1 for tokens of assistant contents and the stop token after each, else 0."""

    ids: list[int]
    mask: list[int]


@dataclass(frozen=True)
class _Segment:
    """A stretch of the rendered text; `message` is the index of the message whose content it is, None for template."""

    text: str
    message: int | None


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Message], add_generation_prompt: bool = False) -> ChatTokens:
    """Ids and loss mask of one conversation of {"role", "content"} messages.

    Raises UserError for messages of another form, a model without template, a template that fails, rewrites contents,
    or (without `add_generation_prompt`) ends an assistant's turn without a control token.
    """
    return encode_chats(tokenizer, [messages], add_generation_prompt)[0]


def encode_chats(
    tokenizer: Tokenizer, conversations: Sequence[Sequence[Message]], add_generation_prompt: bool = False
) -> list[ChatTokens]:
    """`encode_chat` of many conversations, on all cores."""
    layouts = [_layout(tokenizer, messages, add_generation_prompt) for messages in conversations]
    texts = [item.text for layout in layouts for item in layout if isinstance(item, _Stretch)]
    encoded = iter(tokenizer.encode_with_offsets(texts))
    result = []
    for layout in layouts:
        tokens = ChatTokens([], [])
        for item in layout:
            if isinstance(item, _Stretch):
                ids, offsets = next(encoded)
                tokens.ids.extend(ids)
                tokens.mask.extend(item.touches(start, end) for start, end in offsets)
            else:
                tokens.ids.append(item.id)
                tokens.mask.append(int(item.masked))
        result.append(tokens)
    return result


def chat_stop_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids that end an assistant's turn: EOS and what the template puts after an assistant's content."""
    found = set() if tokenizer.eos_id is None else {tokenizer.eos_id}
    if tokenizer.chat_template is not None:
        sample = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        layout = _layout(tokenizer, sample, prompt=False)
        found |= {item.id for item in layout if isinstance(item, _Control) and item.masked}
    return sorted(found)


def check_messages(messages: Sequence[Message]) -> None:
    """Raises UserError unless `messages` is a list of {"role": known role, "content": text}."""
    if isinstance(messages, str | Mapping) or not messages:
        raise UserError("messages: a list of at least one message is needed, each with role and content")
    for index, message in enumerate(messages):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, Mapping) else (None, None)
        if role not in ROLES:
            raise UserError(f"messages[{index}]: role {role!r}; one of {', '.join(ROLES)}; correct it")
        if not isinstance(content, str):
            raise UserError(f"messages[{index}]: content is {type(content).__name__}; text is needed; correct it")


@dataclass(frozen=True)
class _Control:
    """A control token of the template; `masked` when it ends an assistant's turn."""

    id: int
    masked: bool


class _Stretch:
    """Text between control tokens and which characters of it carry loss."""

    def __init__(self) -> None:
        self.text = ""
        self._spans: list[tuple[int, int]] = []

    def append(self, text: str, masked: bool) -> None:
        if masked and text:
            self._spans.append((len(self.text), len(self.text) + len(text)))
        self.text += text

    def touches(self, start: int, end: int) -> int:
        return int(any(start < last and end > first for first, last in self._spans))


def _layout(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> list[_Stretch | _Control]:
    """The conversation as stretches of text and control tokens."""
    check_messages(messages)
    if tokenizer.chat_template is None:
        raise UserError(f"{tokenizer.where}: has no chat template; a chat needs one; use a model trained for chat")
    if tokenizer.chat_template == CHATML:
        segments = _chatml(tokenizer, messages, prompt)
    else:
        segments = _rendered(tokenizer, messages, prompt)
    layout: list[_Stretch | _Control] = []
    stretch, unfinished, swallow = _Stretch(), False, False
    for text, message in _split(tokenizer, segments):
        if message is None and text in tokenizer.special:
            index = tokenizer.special[text]
            layout += [stretch, _Control(index, unfinished)]
            stretch, unfinished, swallow = _Stretch(), False, index in tokenizer.swallows_space_after
            continue
        text, swallow = (text.lstrip(), swallow and not text.strip()) if swallow else (text, False)
        if message is not None:
            unfinished = messages[message]["role"] == "assistant"
        elif unfinished and text.strip():
            if not prompt:
                raise UserError(_no_stop(tokenizer, text))
            unfinished = False
        stretch.append(text, unfinished)
    if unfinished and not prompt:
        raise UserError(_no_stop(tokenizer, ""))
    return [item for item in [*layout, stretch] if isinstance(item, _Control) or item.text]


def _no_stop(tokenizer: Tokenizer, text: str) -> str:
    return (
        f"chat template of {tokenizer.where}: {text[:20]!r} follows an assistant's content; a control token must end "
        "the turn so that the model learns to stop; replace the template"
    )


def _split(tokenizer: Tokenizer, segments: list[_Segment]) -> list[tuple[str, int | None]]:
    """Template segments cut at control tokens; contents stay whole."""
    pattern = _control_pattern(frozenset(tokenizer.special))
    pieces: list[tuple[str, int | None]] = []
    for segment in segments:
        whole = segment.message is not None or pattern is None
        parts = [segment.text] if whole or pattern is None else pattern.split(segment.text)
        pieces += [(part, segment.message) for part in parts if part or segment.message is not None]
    return pieces


@functools.lru_cache(maxsize=16)
def _control_pattern(tokens: frozenset[str]) -> re.Pattern | None:
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if tokens else None


def _chatml(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> list[_Segment]:
    """What CHATML renders, without Jinja: data building encodes millions of conversations with it."""
    segments = [_Segment(_spelling(tokenizer, tokenizer.bos_id), None)]
    for index, message in enumerate(messages):
        segments.append(_Segment(f"<|im_start|>{message['role']}\n", None))
        segments.append(_Segment(message["content"], index))
        segments.append(_Segment("<|im_end|>\n", None))
    return [*segments, _Segment("<|im_start|>assistant\n", None)] if prompt else segments


def _spelling(tokenizer: Tokenizer, index: int | None) -> str:
    return next((token for token, known in tokenizer.special.items() if known == index), "")


def _rendered(tokenizer: Tokenizer, messages: Sequence[Message], prompt: bool) -> list[_Segment]:
    """What the model's own template renders, with contents told apart."""
    assert tokenizer.chat_template is not None
    contents = [message["content"] for message in messages]
    mark = _unused_mark(tokenizer.chat_template, contents)
    marks = [f"\ue000{mark}:{index}\ue001" for index in range(len(contents))]
    names = {f"{name}_token": _spelling(tokenizer, getattr(tokenizer, f"{name}_id")) for name in ("bos", "eos", "pad")}

    def run(texts: list[str]) -> str:
        filled = [{"role": message["role"], "content": text} for message, text in zip(messages, texts, strict=True)]
        variables = {"messages": filled, "add_generation_prompt": prompt, "tools": None, "documents": None}
        return render(tokenizer.chat_template or "", variables | names)

    parts = re.split(f"\ue000{mark}:(\\d+)\ue001", run(marks))
    return _align(run(contents), parts, contents, messages, tokenizer.where)


def _unused_mark(source: str, contents: list[str]) -> int:
    mark = 0
    while any(f"\ue000{mark}:" in text for text in [source, *contents]):
        mark += 1
    return mark


def _align(text: str, parts: list[str], contents: list[str], messages: Sequence[Message], where: str) -> list[_Segment]:
    """Finds in the real rendering `text` the template parts and contents that the marked one shows in turn."""
    segments, place = [_Segment(parts[0], None)], len(parts[0])
    agree, seen = text.startswith(parts[0]), set()
    for number, after in zip(parts[1::2], parts[2::2], strict=True):
        content = contents[int(number)]
        forms = (content, content.strip(), content.lstrip(), content.rstrip())
        form = next((form for form in forms if text.startswith(form + after, place)), None)
        if form is None:
            agree = False
            break
        segments += [_Segment(form, int(number)), _Segment(after, None)]
        place += len(form) + len(after)
        seen.add(int(number))
    if not agree or place != len(text):
        raise UserError(f"chat template of {where}: it rewrites what people wrote; contents must pass unchanged")
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and index not in seen and contents[index]:
            raise UserError(f"chat template of {where}: it drops messages[{index}]; assistant turns must be shown")
    return segments
