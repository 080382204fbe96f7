"""Byte-level BPE tokenizers from their parts, in the pre-tokenizer families that llama.cpp knows.

A byte-level token is spelled with one printable character per byte (GPT-2's table, `byte_characters`). A tokenizer is
its token spellings in id order, its merges in rank order, a pre-tokenizer family and the list of control tokens;
training, folders and GGUF files all come down to these parts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from dotori.errors import UserError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# Names are llama.cpp's values of `tokenizer.ggml.pre`; the expressions are those of the published tokenizer.json files.
PRETOKENIZERS = {
    "qwen2": rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_TAIL}",
    "llama-bpe": rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}",
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}

# Four splits in a row, each of what the one before it left: marks, words as in gpt-2, numbers, groups of digits.
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", PRETOKENIZERS["gpt-2"], r"\p{N}+", r"[0-9][0-9][0-9]")
_SPLITS: dict[str, tuple[str, ...]] = {name: (pattern,) for name, pattern in PRETOKENIZERS.items()}
_SPLITS["default"] = _DEFAULT
_SPLITS["smollm"] = (r"\p{N}", PRETOKENIZERS["gpt-2"])

# How published folders of this family spell it.
_SMOLLM = [
    {"type": "Digits", "individual_digits": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
]


def byte_characters() -> list[str]:
    """The printable character that spells each of the 256 bytes: itself where printable, else 256 onwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


@dataclass(frozen=True)
class VocabularyParts:
    """What a byte-level tokenizer consists of.

    tokens: spelling by id, an empty string where an id is unused; merges: (left, right) spellings, best first;
    control: ids that are never text; added: ids of literal strings found before the pre-tokenizer runs, not control;
    pretokenizer: a family's name; chat_template: Jinja source or None.
    """

    tokens: list[str]
    merges: list[tuple[str, str]]
    control: list[int]
    added: list[int]
    pretokenizer: str
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None
    chat_template: str | None


def pretokenizer_json(name: str) -> dict:
    """The tokenizer.json `pre_tokenizer` of a family; raises UserError for an unknown name."""
    if name not in _SPLITS:
        raise UserError(f"pre-tokenizer: {name!r}; known: {', '.join(_SPLITS)}; convert with one of these")
    splits = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in _SPLITS[name]
    ]
    return {"type": "Sequence", "pretokenizers": [*splits, _byte_level(use_regex=False)]}


def pretokenizer_name(pre_tokenizer: dict | None) -> str | None:
    """The family of a tokenizer.json's `pre_tokenizer` object, None when it is not one of these families."""
    if pre_tokenizer is None:
        return None
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    if len(steps) == 1 and steps[0].get("type") == "ByteLevel":
        plain = not steps[0].get("add_prefix_space", True) and steps[0].get("use_regex", True)
        return "gpt-2" if plain else None
    if steps == _SMOLLM:
        return "smollm"
    *splits, last = steps or [{}]
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space") or last.get("use_regex", True):
        return None
    if not all(step.get("type") == "Split" and step.get("behavior") == "Isolated" for step in splits):
        return None
    patterns = tuple(None if step.get("invert") else step.get("pattern", {}).get("Regex") for step in splits)
    return next((name for name, known in _SPLITS.items() if known == patterns), None)


def _byte_level(use_regex: bool) -> dict:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": use_regex}


def tokenizer_files(parts: VocabularyParts) -> dict[str, bytes]:
    """The files of a tokenizer folder (name -> bytes) that transformers' AutoTokenizer and `load_tokenizer` read.

    The stock loader adds BOS before a text when there is one, as llama.cpp does for our files.
    """
    return folder_files(_tokenizer_json(parts), parts)


def folder_files(tokenizer_json: dict, parts: VocabularyParts, indent: int | None = 1) -> dict[str, bytes]:
    """The files of a tokenizer folder (name -> bytes) with this tokenizer.json, whatever model it describes.

    `indent` None writes tokenizer.json in one line, which takes half the time.
    """
    files = {"tokenizer.json": _dump(tokenizer_json, indent), "tokenizer_config.json": _dump(_config_json(parts))}
    if parts.chat_template is not None:
        files["chat_template.jinja"] = parts.chat_template.encode()
    return files


def _dump(value: dict, indent: int | None = 1) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode()


def _tokenizer_json(parts: VocabularyParts) -> dict:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(parts),
        "normalizer": None,
        "pre_tokenizer": pretokenizer_json(parts.pretokenizer),
        "post_processor": bos_first(parts) or _byte_level(use_regex=True),
        "decoder": _byte_level(use_regex=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            # llama.cpp takes a whole word that is a token without merging in this family only.
            "ignore_merges": parts.pretokenizer == "llama-bpe",
            "vocab": vocabulary_json(parts.tokens),
            "merges": [list(pair) for pair in parts.merges],
        },
    }


def vocabulary_json(tokens: list[str]) -> dict[str, int]:
    """Spelling -> id of the tokens in use; raises UserError when two share a spelling."""
    vocabulary = {token: index for index, token in enumerate(tokens) if token}
    if len(vocabulary) != sum(1 for token in tokens if token):
        raise UserError("tokenizer: two ids share one spelling; each token must be unique; restore the file")
    return vocabulary


def added_tokens(parts: VocabularyParts) -> list[dict]:
    """The tokenizer.json `added_tokens` of the control tokens and literal strings."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    special = set(parts.control)
    ids = sorted(parts.control + parts.added)
    return [{"id": index, "content": parts.tokens[index], **flags, "special": index in special} for index in ids]


def bos_first(parts: VocabularyParts) -> dict | None:
    """The tokenizer.json `post_processor` that begins a text with BOS, None where there is no BOS."""
    if parts.bos_id is None:
        return None
    bos = parts.tokens[parts.bos_id]
    first, text, other = (
        {"SpecialToken": {"id": bos, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 1}},
    )
    return {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, other],
        "special_tokens": {bos: {"id": bos, "ids": [parts.bos_id], "tokens": [bos]}},
    }


def _config_json(parts: VocabularyParts) -> dict:
    config: dict = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    config |= {"add_bos_token": parts.bos_id is not None, "add_eos_token": False, "model_max_length": 10**9}
    for name, index in (("bos_token", parts.bos_id), ("eos_token", parts.eos_id), ("pad_token", parts.pad_id)):
        if index is not None:
            config[name] = parts.tokens[index]
    named = {parts.bos_id, parts.eos_id, parts.pad_id}
    config["additional_special_tokens"] = [parts.tokens[i] for i in sorted(parts.control) if i not in named]
    return config
