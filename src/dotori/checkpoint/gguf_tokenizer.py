"""The tokenizer that a GGUF file carries. Apart from gguf.py, because a session needs it without PyTorch."""

from __future__ import annotations

from dotori.checkpoint.gguf_file import GGUFFile
from dotori.checkpoint.gguf_pieces import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    PieceParts,
    pieces_tokenizer,
)
from dotori.tokenizer.byte_level import VocabularyParts, tokenizer_files
from dotori.tokenizer.load import Tokenizer

# Other names that llama.cpp has for a family.
_SAME = {
    **dict.fromkeys(("llama3", "llama-v3", "falcon3", "midm-2.0"), "llama-bpe"),
    **dict.fromkeys(("refact", "starcoder", "command-r"), "smollm"),
    "deepseek-r1-qwen": "qwen2",
    "phi-2": "gpt-2",
}


def tokenizer_of(file: GGUFFile) -> Tokenizer:
    """The tokenizer in a file's metadata, byte-level BPE or SentencePiece's; raises UserError for others and damage."""
    meta, model = file.metadata, file.metadata.get("tokenizer.ggml.model")
    if model not in ("gpt2", "llama"):
        raise file.fail("tokenizer.ggml.model", repr(model), "gpt2 (byte-level BPE) and llama (SentencePiece) are read")
    tokens = meta.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], str):
        raise file.fail("tokenizer.ggml.tokens", type(tokens).__name__, "an array of strings is needed")
    types, family = _types(file, len(tokens)), str(meta.get("tokenizer.ggml.pre", "default"))
    hidden = (CONTROL,) if model == "gpt2" else (CONTROL, UNKNOWN)
    parts = VocabularyParts(
        tokens=["" if kind == UNUSED else token for token, kind in zip(tokens, types, strict=True)],
        merges=_merges(file) if model == "gpt2" else [],
        control=[index for index, kind in enumerate(types) if kind in hidden and tokens[index]],
        added=[index for index, kind in enumerate(types) if kind == USER_DEFINED and tokens[index]],
        pretokenizer=_SAME.get(family, family),
        bos_id=_token_id(file, "bos", len(tokens)),
        eos_id=_token_id(file, "eos", len(tokens)),
        pad_id=_token_id(file, "padding", len(tokens)),
        chat_template=meta.get("tokenizer.chat_template"),
    )
    if model == "gpt2":
        return Tokenizer(tokenizer_files(parts), str(file.path))
    adds_space, scores = meta.get("tokenizer.ggml.add_space_prefix", True), meta.get("tokenizer.ggml.scores")
    if not isinstance(adds_space, bool) or not isinstance(scores, list):
        raise file.fail("tokenizer.ggml.add_space_prefix or scores", adds_space, "a bool and an array are needed")
    unknown = _token_id(file, "unknown", len(tokens))
    if unknown is not None and types[unknown] == CONTROL:
        unknown = None  # text must not become it
    return pieces_tokenizer(PieceParts(parts, types, scores, unknown, adds_space), str(file.path))


def _types(file: GGUFFile, count: int) -> list[int]:
    types = file.metadata.get("tokenizer.ggml.token_type") or [NORMAL] * count
    if not isinstance(types, list) or len(types) != count or not all(kind in range(BYTE + 1) for kind in types):
        raise file.fail("tokenizer.ggml.token_type", f"of {count} tokens", "one type a token, 0 to 6, is needed")
    return types


def _merges(file: GGUFFile) -> list[tuple[str, str]]:
    merges = file.metadata.get("tokenizer.ggml.merges", [])
    if not isinstance(merges, list) or not all(isinstance(m, str) and m.count(" ") == 1 for m in merges):
        raise file.fail("tokenizer.ggml.merges", type(merges).__name__, "pairs of two tokens are needed")
    return [tuple(merge.split(" ")) for merge in merges]  # type: ignore[misc]


def _token_id(file: GGUFFile, name: str, count: int) -> int | None:
    value = file.metadata.get(f"tokenizer.ggml.{name}_token_id")
    if value is None or (type(value) is int and 0 <= value < count):
        return value
    raise file.fail(f"tokenizer.ggml.{name}_token_id", value, f"an id below {count} is needed")
