"""Byte-level BPE from text: deterministic, one pass over an iterator; and the stage that makes a tokenizer folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import tokenizers
from tokenizers import models, trainers
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Split
from tokenizers.pre_tokenizers import Sequence as Steps

from dotori.config import settings
from dotori.errors import ProofError, UserError
from dotori.files import atomic_folder, atomic_write, to_json
from dotori.runlog import RunLog
from dotori.tokenizer.byte_level import PRETOKENIZERS, VocabularyParts, byte_characters, tokenizer_files
from dotori.tokenizer.chat import CHATML
from dotori.tokenizer.fertility import fertility, fertility_json, proof_texts, round_trip_failures
from dotori.tokenizer.language import language_of
from dotori.tokenizer.load import Tokenizer, load_tokenizer, merge_pairs

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PRETOKENIZER = "qwen2"
# 256 bytes, the special tokens, and at least as many merges as those: below that nothing was trained.
MIN_VOCAB_SIZE = 256 + len(SPECIAL_TOKENS) + 3
_MAX_VOCAB_SIZE = 1 << 20
# Ten Hangul syllables. Longer ones are rulers, URLs and boilerplate, which a small vocabulary cannot afford.
_MAX_TOKEN_BYTES = 32
# The library holds a text about ten times over, and its time per word is quadratic in the word.
_PIECE_CHARACTERS, _WORD_CHARACTERS = 10_000, 1_000
_HELD_OUT_EVERY = 50
_HELD_OUT_BYTES = 1_000_000


@settings
class TokenizerSettings:
    """vocab_size: tokens wanted, special ones included; max_bytes: UTF-8 bytes of text after which reading stops."""

    vocab_size: int = 4096
    max_bytes: int = 200_000_000

    def __post_init__(self) -> None:
        _check_vocab_size(self.vocab_size)
        if self.max_bytes < 1:
            raise UserError(f"max_bytes: {self.max_bytes}; at least 1; give the bytes of text to train on")


def _check_vocab_size(vocab_size: int) -> None:
    if not MIN_VOCAB_SIZE <= vocab_size <= _MAX_VOCAB_SIZE:
        raise UserError(
            f"vocab_size: {vocab_size}; {MIN_VOCAB_SIZE} (256 bytes, {len(SPECIAL_TOKENS)} special tokens, 3 merges) "
            f"to {_MAX_VOCAB_SIZE}; choose for example 4096"
        )


def train_bpe(texts: Iterable[str], vocab_size: int, out: Path) -> None:
    """Trains on `texts` (read once) and writes a tokenizer folder to `out`, whole or not at all.

    Ids: 0 `<|endoftext|>` (BOS, pad), 1 `<|im_start|>`, 2 `<|im_end|>` (EOS), then the 256 bytes, then merges by rank.
    The same texts give the same file. Fewer tokens come out when the text has no more pairs to merge. Raises UserError
    for an impossible size or no text.
    """
    files = _train(texts, vocab_size)
    with atomic_folder(out) as folder:
        for name, data in files.items():
            atomic_write(folder / name, data)


def _train(texts: Iterable[str], vocab_size: int) -> dict[str, bytes]:
    _check_vocab_size(vocab_size)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=byte_characters(),
        max_token_length=_MAX_TOKEN_BYTES,
        show_progress=False,
    )
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = _pre_tokenizer()
    counted = _Counted(texts)
    backend.train_from_iterator(counted.pieces(), trainer)
    if counted.characters == 0:
        raise UserError("tokenizer: no text came in; some is needed; check the sources and their filters")
    model = json.loads(backend.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    parts = VocabularyParts(tokens, merge_pairs(model["merges"]), [0, 1, 2], [], PRETOKENIZER, 0, 2, 0, CHATML)
    return tokenizer_files(parts)


def _pre_tokenizer() -> PreTokenizer:
    split = Split(tokenizers.Regex(PRETOKENIZERS[PRETOKENIZER]), behavior="isolated")
    return Steps([split, ByteLevel(add_prefix_space=False, use_regex=False)])


class _Counted:
    """Cuts long texts at blanks and counts what went through."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.characters = 0

    def pieces(self) -> Iterator[str]:
        for text in self._texts:
            self.characters += len(text)
            start = 0
            while len(text) - start > _PIECE_CHARACTERS:
                end = text.rfind(" ", start + 1, start + _PIECE_CHARACTERS)
                end = end if end > 0 else start + _WORD_CHARACTERS
                yield text[start:end]
                start = end
            yield text[start:]


class _Sample:
    """Passes texts on up to a number of bytes, keeping every 50th aside per language for the fertility report."""

    def __init__(self, texts: Iterable[str], max_bytes: int) -> None:
        self._texts, self._max_bytes = texts, max_bytes
        self.documents, self.bytes = 0, 0
        self.held_out: dict[str, list[str]] = {}
        self._held_out_bytes: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def kept(self, log: RunLog) -> Iterator[str]:
        with log.progress("tokenizer", None, "B") as meter:
            for text in self._texts:
                if self.bytes >= self._max_bytes:
                    return
                size = len(text.encode(errors="replace"))
                if self._hold_out(text, size):
                    continue
                self.documents += 1
                self.bytes += size
                meter.advance(size)
                yield text

    def _hold_out(self, text: str, size: int) -> bool:
        language = language_of(text[:2000])
        seen = self._seen[language] = self._seen.get(language, 0) + 1
        held = self._held_out_bytes.get(language, 0)
        if seen % _HELD_OUT_EVERY or held + size > _HELD_OUT_BYTES:
            return False
        self._held_out_bytes[language] = held + size
        self.held_out.setdefault(language, []).append(text)
        return True


def train_tokenizer(settings: TokenizerSettings, texts: Iterable[str], out: Path, log: RunLog) -> None:
    """Stage: texts to a tokenizer folder with `fertility.json` (settings, sizes, cost per language, proofs).

    Every 50th text of a language, up to 1 MB, is kept out of training and measured. Raises ProofError when a proof text
    does not come back exactly.
    """
    sample = _Sample(texts, settings.max_bytes)
    files = _train(sample.kept(log), settings.vocab_size)
    with atomic_folder(out) as folder:
        for name, data in files.items():
            atomic_write(folder / name, data)
        tokenizer = load_tokenizer(folder)
        languages = fertility_json(fertility(tokenizer, sample.held_out))
        report = _report(tokenizer, settings, sample) | {"languages": languages, "proofs": [_proof(tokenizer)]}
        atomic_write(folder / "fertility.json", to_json(report))
    log.event("tokenizer", vocab_size=tokenizer.vocab_size, languages=languages)
    for language, row in languages.items():
        log.say(f"tokenizer: {language} {row['bytes_per_token']:.2f} bytes per token")
    if tokenizer.vocab_size < settings.vocab_size:
        log.say(f"tokenizer: {tokenizer.vocab_size} tokens; the text has no more pairs to merge")


def _report(tokenizer: Tokenizer, settings: TokenizerSettings, sample: _Sample) -> dict[str, object]:
    return {
        "stage": "tokenizer",
        "settings": {"vocab_size": settings.vocab_size, "max_bytes": settings.max_bytes},
        "hash": tokenizer.hash,
        "vocab_size": tokenizer.vocab_size,
        "documents": sample.documents,
        "bytes": sample.bytes,
        "versions": {"tokenizers": tokenizers.__version__},
    }


def _proof(tokenizer: Tokenizer) -> dict[str, object]:
    failures = round_trip_failures(tokenizer)
    if failures:
        raise ProofError(f"tokenizer: {len(failures)} texts changed, first {failures[0][:40]!r}; report this bug")
    how = f"decode(encode(x)) = x for {len(proof_texts())} texts, all 11,172 Hangul syllables among them"
    return {"name": "round_trip", "value": 0, "threshold": 0, "passed": True, "how": how}
