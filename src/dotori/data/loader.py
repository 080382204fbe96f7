"""A dataset folder as training rows and validation windows.

A text domain is one long stream: row i is tokens i*T .. i*T+T, so nothing is lost but a tail shorter than a row. A chat
domain is packed: whole conversations in a row, padded, targets only where something is to be learnt. In both,
`documents` numbers the documents of a row, and attention and targets stay inside them, except that the last token of
a text document predicts the BOS of the next: that is how a model learns to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dotori.data.mix import Mixture, Phase
from dotori.data.pack import pack
from dotori.data.shards import Stream
from dotori.errors import UserError
from dotori.files import read_json

IGNORED = -100
_GOLDEN = (5**0.5 - 1) / 2


class Batch(NamedTuple):
    """Rows: ids, targets int64 (B, T), targets -100 where nothing is learnt; documents int32 (B, T)."""

    ids: np.ndarray
    targets: np.ndarray
    documents: np.ndarray


class Window(NamedTuple):
    """A piece of a validation document: ids int64 (n,), of which those from index `first` on are scored here."""

    ids: np.ndarray
    first: int


class Validation(NamedTuple):
    """Validation text of one language: windows of which no two score the same token, and the bytes that they score."""

    windows: list[Window]
    bytes: float


def read_manifest(dataset: Path) -> dict:
    """The manifest of a dataset folder; raises UserError when the folder is none."""
    return read_json(dataset / "manifest.json", "dataset folder")


def _stream(dataset: Path, manifest: dict, domain: str, split: str) -> Stream:
    entry = manifest["domains"][domain]
    names = [name for name in entry["splits"].get(split, {}).get("shards", [])]
    return Stream([dataset / domain / name for name in names], manifest["vocab_size"], entry["format"] == "chat")


class _TextRows:
    def __init__(self, stream: Stream, context: int) -> None:
        self.stream, self.context, self.cut = stream, context, 0
        self.size = max(0, (stream.tokens - 1) // context)

    def row(self, index: int, loss_on: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        start = index * self.context
        tokens = self.stream.read(start, start + self.context + 1)
        # Numbers count documents that begin inside the row, whatever their first token is.
        starts = self.stream.document_starts
        low, high = np.searchsorted(starts, (start + 1, start + self.context))
        documents = np.zeros(self.context, dtype=np.int32)
        documents[starts[low:high] - start] = 1
        return tokens[:-1], tokens[1:], np.cumsum(documents, dtype=np.int32)


class _ChatRows:
    def __init__(self, stream: Stream, context: int) -> None:
        self.stream, self.context = stream, context
        self.rows, self.cut = pack(np.diff(stream.document_starts), context)
        self.size = len(self.rows)

    def row(self, index: int, loss_on: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ids = np.zeros(self.context, dtype=np.int64)
        targets = np.full(self.context, IGNORED, dtype=np.int64)
        documents = np.full(self.context, -1, dtype=np.int32)
        at = 0
        for number, document in enumerate(self.rows[index]):
            start, end = self.stream.document_starts[document : document + 2].tolist()
            end = min(end, start + self.context - at)
            tokens, n = self.stream.read(start, end), end - start
            learnt = self.stream.read_mask(start, end)[1:] if loss_on == "assistant" else np.ones(n - 1, dtype=bool)
            ids[at : at + n] = tokens
            targets[at : at + n - 1] = np.where(learnt, tokens[1:], IGNORED)
            documents[at : at + n] = number
            at += n
        return ids, targets, documents


class Loader:
    """Rows of `context` tokens by sample number; what is drawn depends on (seed, sample number) alone.

    `phases` say which domains are mixed and when it changes (none: every domain by its rows). Raises UserError for a
    broken folder, an unknown domain, or a domain too small for one row.
    """

    def __init__(
        self, dataset: Path, context: int, seed: int, phases: Sequence[Phase] = (), split: str = "train"
    ) -> None:
        self.dataset, self.context = dataset, context
        self.manifest = read_manifest(dataset)
        self._domains: list[_TextRows | _ChatRows | None] = []
        for name, entry in self.manifest["domains"].items():
            # Packing conversations takes a while: not where no phase draws from them.
            is_drawn = not phases or any(phase.weights.get(name) for phase in phases)
            kind = _ChatRows if entry["format"] == "chat" else _TextRows
            self._domains.append(kind(_stream(dataset, self.manifest, name, split), context) if is_drawn else None)
        named = zip(self.manifest["domains"], self._domains, strict=True)
        sizes = {name: 0 if rows is None else rows.size for name, rows in named}
        if not any(sizes.values()) and all(name in sizes for phase in phases for name in phase.weights):
            raise UserError(f"{dataset}: no domain fills one row of {context} tokens; lower context or add text")
        self.mixture = Mixture(seed, sizes, phases)

    @property
    def cut(self) -> dict[str, int]:
        """Conversations longer than a row, cut, by domain."""
        names = self.manifest["domains"]
        return {name: rows.cut for name, rows in zip(names, self._domains, strict=True) if rows and rows.cut}

    def rows(self, first_sample: int, count: int) -> Batch:
        """Samples first_sample .. first_sample+count-1."""
        rows = []
        for sample in range(first_sample, first_sample + count):
            place = self.mixture.locate(sample)
            domain = self._domains[place.domain]
            assert domain is not None, "the mixture draws only from domains with weight"
            rows.append(domain.row(place.row, self.mixture.phases[place.phase].loss_on))
        ids, targets, documents = (np.stack(part) for part in zip(*rows, strict=True))
        return Batch(ids, targets, documents)


def validation_languages(dataset: Path) -> list[str]:
    """The languages that have validation text, sorted."""
    found = set()
    for entry in read_manifest(dataset)["domains"].values():
        if entry["format"] == "text":
            found |= {split.partition("-")[2] for split, part in entry["splits"].items() if part["documents"]}
    return sorted(found - {""})


def validation(dataset: Path, language: str, context: int, max_bytes: int) -> Validation:
    """Windows of up to context+1 ids (context >= 2) that lie evenly over all validation text of a language.

    Enough of them to score about `max_bytes`; all where there is no more. A document's first window starts after its
    BOS, the others have half a context before what they score.
    """
    manifest = read_manifest(dataset)
    texts = [name for name, entry in manifest["domains"].items() if entry["format"] == "text"]
    streams = [_stream(dataset, manifest, name, f"validation-{language}") for name in texts]
    documents = [(stream, index) for stream in streams for index in range(stream.documents)]
    counts = [window_count(int(n), context) for stream in streams for n in np.diff(stream.document_starts)]
    ends = np.cumsum(counts, dtype=np.int64)
    found: dict[int, Window] = {}
    total = 0.0
    for place in spread(sum(counts)):
        if total >= max_bytes:
            break
        document = int(np.searchsorted(ends, place, side="right"))
        stream, index = documents[document]
        begin, end = stream.document_starts[index : index + 2].tolist()
        start, stop, first = window_bounds(end - begin, context, place - int(ends[document]) + counts[document])
        found[place] = Window(stream.read(begin + start, begin + stop), first)
        # What a piece has of its document's bytes is taken to be what it has of its tokens.
        total += int(stream.document_bytes[index]) * (stop - start - first) / max(1, end - begin - 1)
    return Validation([found[place] for place in sorted(found)], total)


def spread(count: int) -> list[int]:
    """0 .. count-1 in an order whose every beginning lies evenly over the whole: files of one kind stand together."""
    return np.argsort(np.arange(count) * _GOLDEN % 1, kind="stable").tolist()


def held_out_answers(dataset: Path, context: int, domains: Sequence[str], most_rows: int) -> list[Batch]:
    """Rows of held-out conversations of the chat `domains`, targets on the assistant's words alone, one Batch a split.

    At most `most_rows` rows of each language of each domain, long and short conversations alike. Empty where nothing
    was held out.
    """
    manifest, found = read_manifest(dataset), []
    for name in domains:
        for split in sorted(manifest["domains"][name]["splits"]):
            rows = _ChatRows(_stream(dataset, manifest, name, split), context) if split != "train" else None
            if rows is not None and rows.size:
                picked = [rows.row(index, "assistant") for index in spread(rows.size)[:most_rows]]
                found.append(Batch(*(np.stack(part) for part in zip(*picked, strict=True))))
    return found


def window_count(length: int, context: int) -> int:
    """How many windows a document of `length` tokens, BOS included, is scored in."""
    return 1 + max(0, -(-(length - context - 1) // (context // 2)))


def window_bounds(length: int, context: int, number: int) -> tuple[int, int, int]:
    """(start, end, first): window `number` of a document is its tokens start to end, scored from its own `first` on.

    Each token but BOS is scored in one window; the stride is half a context.
    """
    scored = 1 if number == 0 else min(length, context + 1 + (number - 1) * (context // 2))
    end = min(length, context + 1 + number * (context // 2))
    start = max(0, end - context - 1)
    return start, end, scored - start
