"""Log-probabilities in the two forms that OpenAI's clients know."""

from __future__ import annotations

from typing import Any

from dotori.serve.engine import TokenInfo
from dotori.tokenizer.load import Tokenizer

# JSON has no infinity; this is what OpenAI gives for an impossible token.
_LOWEST = -9999.0


def chat_token(tokenizer: Tokenizer, token: TokenInfo) -> dict[str, Any]:
    """One entry of `logprobs.content`."""
    row = _entry(token.text_bytes, token.logprob)
    row["top_logprobs"] = [_entry(tokenizer.token_bytes(index), value) for index, value in token.top]
    return row


def _entry(data: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _text(data), "logprob": max(logprob, _LOWEST), "bytes": list(data)}


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _name(data: bytes) -> str:
    """A token as a key; OpenAI spells bytes that are no text this way."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def completion_tokens(tokenizer: Tokenizer, tokens: list[TokenInfo], offset: int) -> dict[str, Any]:
    """The `logprobs` of a text completion whose first token begins at character `offset`."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(_text(token.text_bytes))
    return {
        "tokens": [_name(token.text_bytes) for token in tokens],
        "token_logprobs": [max(token.logprob, _LOWEST) for token in tokens],
        "top_logprobs": [
            {_name(tokenizer.token_bytes(index)): max(value, _LOWEST) for index, value in token.top} for token in tokens
        ],
        "text_offset": offsets,
    }
