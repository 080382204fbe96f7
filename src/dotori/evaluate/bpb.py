"""Bits per byte: how well a model predicts text, whatever its tokenizer.

Each document starts after BOS (EOS where there is none); its tokens are scored once each, in windows of the model's
context that advance by half of it, so every token after the first window sees at least half a context. Bits are divided
by the UTF-8 bytes of the document as it was read; tokens are those of its NFC form.

Two baselines stand beside each figure. `byte_unigram` is the entropy of the text's own byte frequencies: what knowing
only frequencies would reach. `byte_bigram` is the code length of an adaptive model that knows the byte before (a
Dirichlet prior of 0.05 per byte value for each of 257 contexts, document start included), which learns as it reads.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import log

import numpy as np
import torch

from dotori.data.sources import find_files, read_records
from dotori.errors import UserError
from dotori.evaluate.stats import ratio_interval
from dotori.runlog import RunLog
from dotori.scorer import Scorer
from dotori.tokenizer.language import language_of

# Windows are scored together so that a session can sort and batch them.
_BATCH_TOKENS = 1 << 17
_PRIOR = 0.05


@dataclass(frozen=True)
class Document:
    """A text to score: `path` names its file in the report, `lang` is "ko" or "en"."""

    path: str
    text: str
    lang: str


@dataclass
class _Tally:
    """What was scored under one name: bits and UTF-8 bytes by document, byte and byte-pair counts for the baselines."""

    bits: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    pairs: np.ndarray = field(default_factory=lambda: np.zeros((257, 256), np.int64))

    def add(self, bits: float, raw: bytes) -> None:
        values = np.frombuffer(raw, np.uint8).astype(np.int64)
        before = np.concatenate([[256], values[:-1]])
        self.pairs += np.bincount(before * 256 + values, minlength=257 * 256).reshape(257, 256)
        self.bits.append(bits)
        self.sizes.append(len(raw))

    def merge(self, other: _Tally) -> None:
        self.bits += other.bits
        self.sizes += other.sizes
        self.pairs += other.pairs

    def report(self) -> dict[str, object]:
        interval = ratio_interval(self.bits, self.sizes)
        return {
            "documents": len(self.bits),
            "bytes": sum(self.sizes),
            "bits_per_byte": round(sum(self.bits) / sum(self.sizes), 5),
            "ci95": None if interval is None else [round(edge, 5) for edge in interval],
            "baselines": {
                "byte_unigram": round(_unigram_bits(self.pairs) / sum(self.sizes), 5),
                "byte_bigram": round(_bigram_bits(self.pairs) / sum(self.sizes), 5),
            },
        }


def _unigram_bits(pairs: np.ndarray) -> float:
    counts = pairs.sum(0)
    counts = counts[counts > 0].astype(np.float64)
    return float((counts * np.log2(counts.sum() / counts)).sum())


def _bigram_bits(pairs: np.ndarray) -> float:
    """Code length of the adaptive model; a Dirichlet mixture's depends on the counts only, not on their order."""
    counts = torch.from_numpy(pairs).double()
    totals = counts.sum(1)
    prior = torch.tensor(_PRIOR, dtype=torch.float64)
    per_symbol = (torch.lgamma(counts + prior) - torch.lgamma(prior)).sum()
    per_context = (torch.lgamma(totals + 256 * prior) - torch.lgamma(256 * prior)).sum()
    return float(per_context - per_symbol) / log(2)


def windows(ids: list[int], context: int) -> Iterator[tuple[list[int], int]]:
    """(tokens, start) with at most `context` tokens each; scoring each from `start` on covers ids[1:] once."""
    stride = context // 2
    yield ids[:context], 1
    for covered in range(context, len(ids), stride):
        begin = covered + stride - context
        yield ids[begin : begin + context], covered - begin


def score_documents(scorer: Scorer, documents: Iterable[Document], log: RunLog) -> dict[str, object]:
    """Scores `documents`; {"files": [...], "languages": {...}} of the fixed interface, with baselines.

    A file's `lang` is the language of most of its bytes; its `languages` break it down. Empty documents are counted in
    `empty_documents` and give nothing. Raises UserError for a model without BOS and EOS, or when no text came.
    """
    first = scorer.bos_id if scorer.bos_id is not None else scorer.eos_id
    if first is None:
        raise UserError("eval bpb: the tokenizer has neither BOS nor EOS; one must begin a document; set bos_token")
    files: dict[str, dict[str, _Tally]] = {}
    empty = 0
    waiting: list[tuple[Document, list[int]]] = []
    tokens = 0
    with log.progress("bits per byte", None, "B") as meter:
        for document in documents:
            if not document.text:
                empty += 1
                continue
            ids = [first, *scorer.tokenize(unicodedata.normalize("NFC", document.text))]
            waiting.append((document, ids))
            tokens += len(ids)
            if tokens >= _BATCH_TOKENS:
                meter.advance(_score(scorer, waiting, files))
                waiting, tokens = [], 0
        meter.advance(_score(scorer, waiting, files))
    if not files:
        raise UserError("eval bpb: no text came in; a document with text is needed; check the files and --field")
    return _report(files, empty)


def _score(scorer: Scorer, waiting: list[tuple[Document, list[int]]], files: dict[str, dict[str, _Tally]]) -> int:
    owners, sequences, starts = [], [], []
    for number, (_, ids) in enumerate(waiting):
        for sequence, start in windows(ids, scorer.context):
            owners.append(number)
            sequences.append(sequence)
            starts.append(start)
    bits = np.zeros(len(waiting))
    if sequences:
        np.add.at(bits, owners, -np.array(scorer.loglikelihood(sequences, starts)) / log(2))
    for (document, _), value in zip(waiting, bits, strict=True):
        tally = files.setdefault(document.path, {}).setdefault(document.lang, _Tally())
        tally.add(float(value), document.text.encode())
    return sum(len(document.text.encode()) for document, _ in waiting)


def _report(files: dict[str, dict[str, _Tally]], empty: int) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    languages: dict[str, _Tally] = {}
    for path, tallies in files.items():
        whole = _Tally()
        for lang, tally in tallies.items():
            whole.merge(tally)
            languages.setdefault(lang, _Tally()).merge(tally)
        main = max(tallies, key=lambda lang: sum(tallies[lang].sizes))
        breakdown = {lang: tallies[lang].report() for lang in sorted(tallies)}
        rows.append({"path": path, "lang": main} | whole.report() | {"languages": breakdown})
    totals = {lang: languages[lang].report() for lang in sorted(languages)}
    return {"files": rows, "languages": totals, "empty_documents": empty}


def evaluate_bpb(scorer: Scorer, files: Sequence[str], field: str, lang: str | None, log: RunLog) -> dict[str, object]:
    """Bits per byte on text files, folders or globs: `score_documents` with `rejected` {reason: records} beside.

    `field` holds the text in .jsonl and .parquet; `lang` is the language of all documents, None finds each one's. Rows
    that are conversations are rejected. Raises UserError for a path that names no file, a damaged archive, no text.
    """
    if lang not in (None, "ko", "en"):
        raise UserError(f"lang: {lang!r}; ko or en is needed; leave it out to find each document's own")
    rejected: dict[str, int] = {}

    def reject(reason: str, place: str) -> None:
        rejected[reason] = rejected.get(reason, 0) + 1
        log.event("rejected", reason=reason, place=place)

    def documents() -> Iterator[Document]:
        for path in paths:
            for record in read_records(path, field, reject):
                if record.messages:
                    reject(f"no field {field!r}", record.id)
                else:
                    yield document(str(path), record.text, lang)

    paths = find_files(tuple(files))
    return score_documents(scorer, documents(), log) | {"rejected": rejected}


def document(path: str, text: str, lang: str | None) -> Document:
    """A document whose language is `lang`, else found by the rule of `language_of`."""
    return Document(path, text, lang or language_of(text))
