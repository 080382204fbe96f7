"""The tokenizer of a model folder: text to ids, ids to bytes, and what its files say about special tokens."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import tokenizers

from dotori.errors import UserError
from dotori.files import atomic_write
from dotori.tokenizer.byte_level import VocabularyParts, byte_characters, pretokenizer_name, tokenizer_files

_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
# The largest published ones (256k tokens) have 35 MB.
_MAX_FILE_BYTES = 256 * 1024 * 1024


class Tokenizer:
    """A `tokenizers.Tokenizer` that never takes special tokens from text, never adds BOS and decodes by bytes.

    Attributes: `vocab_size` (largest id + 1), `rows` (ids that a padded table of a model has; beyond `vocab_size`
    they are no text), `special` (control token spelling -> id), `bos_id`, `eos_id`, `pad_id` (None when the files
    name none), `chat_template` (Jinja source or None), `normalizer` and `pre_tokenizer` (tokenizer.json's objects or
    None), `hash` (SHA-256 of tokenizer.json).
    """

    def __init__(self, files: Mapping[str, bytes], where: str) -> None:
        """`files`: name -> bytes, tokenizer.json required; `where` is named in errors. Raises UserError."""
        self.where = where
        self.files = dict(files)
        self._json = _parse(files["tokenizer.json"], f"{where}/tokenizer.json")
        self._config = _parse(files.get("special_tokens_map.json", b"{}"), f"{where}/special_tokens_map.json")
        self._config |= _parse(files.get("tokenizer_config.json", b"{}"), f"{where}/tokenizer_config.json")
        try:
            self.backend = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
        # The library raises bare Exception for whatever it dislikes in a file.
        except Exception as error:
            raise UserError(f"{where}/tokenizer.json: {error}; a tokenizers file is needed; restore it") from None
        self.backend.encode_special_tokens = True
        self.backend.no_truncation()
        self.backend.no_padding()
        self._vocabulary = self.backend.get_vocab(with_added_tokens=True)
        if not self._vocabulary:
            raise UserError(f"{where}/tokenizer.json: no tokens; at least one is needed; restore the file")
        self.vocab_size = max(self._vocabulary.values()) + 1
        self.rows = self.vocab_size
        added = self.backend.get_added_tokens_decoder()
        self.added = {token.content: index for index, token in added.items() if not token.special}
        self.special = {token.content: index for index, token in added.items() if token.special}
        self.swallows_space_after = frozenset(index for index, token in added.items() if token.rstrip)
        self.normalizer: dict | None = self._json.get("normalizer")
        self.pre_tokenizer: dict | None = self._json.get("pre_tokenizer")
        self.bos_id, self.eos_id, self.pad_id = (self._named(f"{name}_token") for name in ("bos", "eos", "pad"))
        self.chat_template = self._template()
        self.hash = hashlib.sha256(files["tokenizer.json"]).hexdigest()

    def _named(self, name: str) -> int | None:
        value = self._config.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if text is None:
            return None
        if text not in self._vocabulary:
            raise UserError(f"{self.where}: {name} {text!r} is not a token of tokenizer.json; name one that is")
        return self._vocabulary[text]

    def _template(self) -> str | None:
        if "chat_template.jinja" in self.files:
            try:
                return self.files["chat_template.jinja"].decode()
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{self.where}/chat_template.jinja: {error}; UTF-8 is needed; restore the file"
                ) from None
        value = self._config.get("chat_template")
        if isinstance(value, list):
            value = {entry.get("name"): entry.get("template") for entry in value}.get("default")
        return value

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; a control token spelled in it is ordinary text."""
        with _encodable():
            return self.backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, on all cores."""
        with _encodable():
            return [item.ids for item in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_with_offsets(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """For each text its ids and the (start, end) characters each id touches; all cores."""
        with _encodable():
            return [(item.ids, item.offsets) for item in self.backend.encode_batch(texts, add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; control tokens give nothing, bytes that are not UTF-8 become U+FFFD. Raises UserError."""
        text = b"".join(self.token_bytes(index) for index in ids).decode("utf-8", errors="replace")
        return text[1:] if self.strips_first_space and text.startswith(" ") else text

    def token_bytes(self, index: int) -> bytes:
        """The bytes that token `index` stands for; none for control and unused tokens. Raises UserError."""
        if not 0 <= index < self.rows:
            raise UserError(f"token id: {index}; ids of this tokenizer are 0 to {self.rows - 1}; check the model")
        return self._bytes[index] if index < self.vocab_size else b""

    @cached_property
    def _bytes(self) -> list[bytes]:
        spell = self._byte_level if self._decoder_kind == "bytes" else _sentencepiece
        table = [b""] * self.vocab_size
        for token, index in self._vocabulary.items():
            if token in self.added:
                table[index] = token.encode()
            elif token not in self.special:
                table[index] = spell(token)
        return table

    @cached_property
    def _byte_of(self) -> dict[str, int]:
        return {character: byte for byte, character in enumerate(byte_characters())}

    def _byte_level(self, token: str) -> bytes:
        return bytes(self._byte_of[character] for character in token if character in self._byte_of)

    @cached_property
    def _decoder_steps(self) -> list[dict]:
        decoder = self._json.get("decoder") or {}
        return decoder.get("decoders", [decoder])

    @cached_property
    def _decoder_kind(self) -> str:
        kinds = {step.get("type") for step in self._decoder_steps}
        if "ByteLevel" in kinds:
            return "bytes"
        if kinds and kinds <= {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"}:
            return "pieces"
        raise UserError(
            f"{self.where}/tokenizer.json: decoder {self._json.get('decoder')!r}; byte-level or SentencePiece decoding "
            "is needed; use a model with such a tokenizer"
        )

    @cached_property
    def strips_first_space(self) -> bool:
        """Whether decoding drops the space that a SentencePiece tokenizer puts before the first word."""
        for step in self._decoder_steps:
            if step.get("type") == "Strip" and step.get("start", 0) > 0:
                return True
            if step.get("type") == "Metaspace" and step.get("prepend_scheme", "always") != "never":
                return True
        return False

    def parts(self) -> VocabularyParts:
        """The parts a GGUF file stores; raises UserError unless it is byte-level BPE of a family we can write."""
        model, name = self._json.get("model", {}), pretokenizer_name(self.pre_tokenizer)
        if model.get("type") != "BPE" or name is None or self._decoder_kind != "bytes":
            raise UserError(
                f"{self.where}/tokenizer.json: model {model.get('type')!r} with an unknown pre-tokenizer; byte-level "
                "BPE of a qwen2, llama-bpe, gpt-2 or smollm family is needed here; use a model with such a tokenizer"
            )
        tokens = [""] * self.vocab_size
        for token, index in self._vocabulary.items():
            tokens[index] = token
        control, added = sorted(self.special.values()), sorted(self.added.values())
        ids = (self.bos_id, self.eos_id, self.pad_id)
        return VocabularyParts(tokens, merge_pairs(model["merges"]), control, added, name, *ids, self.chat_template)

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files into `folder` byte for byte as they were read."""
        for name, data in self.files.items():
            atomic_write(folder / name, data)


def merge_pairs(merges: list) -> list[tuple[str, str]]:
    """(left, right) of a tokenizer.json's merges, which older files write as one string."""
    return [(left, right) for left, right in (m.split(" ") if isinstance(m, str) else m for m in merges)]


@contextmanager
def _encodable() -> Iterator[None]:
    """A lone surrogate in a text becomes a UserError."""
    try:
        yield
    # A single text with a lone surrogate is a TypeError to the library, one in a batch an encoding error.
    except (UnicodeEncodeError, TypeError) as error:
        raise UserError(f"text: {error}; valid Unicode is needed; decode it with errors='replace'") from None


def _sentencepiece(token: str) -> bytes:
    if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()


def _parse(data: bytes, where: str) -> dict:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error}); restore the file") from None
    if not isinstance(value, dict):
        raise UserError(f"{where}: a {type(value).__name__}; a JSON object is needed; restore the file")
    return value


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a tokenizer or model folder; raises UserError when a file is missing, broken or too large."""
    files = {}
    for name in _FILES:
        path = Path(folder) / name
        if path.is_file():
            if path.stat().st_size > _MAX_FILE_BYTES:
                raise UserError(f"{path}: {path.stat().st_size} bytes; at most 256 MiB; check the path")
            files[name] = path.read_bytes()
    if "tokenizer.json" not in files:
        raise UserError(f"{folder}: holds no tokenizer.json; a tokenizer or model folder is needed; check the path")
    return Tokenizer(files, str(folder))


def tokenizer_from_parts(parts: VocabularyParts, where: str) -> Tokenizer:
    """A tokenizer from trained or GGUF parts; `where` is named in errors. Raises UserError for impossible parts."""
    return Tokenizer(tokenizer_files(parts), where)
