"""One piece of a build: one source file, or one split of a story world, from records to shards.

read -> normal form -> personal identifiers -> rules -> duplicates -> decontamination -> split -> tokens -> shards

While batches are tokenized, in processes where that pays, the next is read and cleaned.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dotori.data.clean import mask_personal, normalize, why_drop
from dotori.data.decontaminate import Evaluations
from dotori.data.dedup import Seen
from dotori.data.settings import DataSettings, DomainSettings
from dotori.data.shards import ShardWriter
from dotori.data.sources import Advance, Record, Reject, read_records
from dotori.data.storyworld.generate import documents
from dotori.errors import UserError
from dotori.files import atomic_write, read_json, remove_stale, to_json
from dotori.tokenizer.chat import encode_chats
from dotori.tokenizer.language import language_of
from dotori.tokenizer.word_cache import WordCache
from dotori.tokenizer.workers import Workers

BATCH_CHARACTERS = 1_000_000
QUARANTINED = 1000
# A story-world document, on average; progress and plans count in it.
STORY_BYTES = 250


@dataclass(frozen=True)
class Unit:
    """Piece `number` of a domain: a file, or the split of its story world."""

    domain: str
    number: int
    path: Path | None
    split: str | None


@dataclass(frozen=True)
class _Kept:
    """A record on its way into the shard of `split`."""

    record: Record
    split: str
    bytes: int


def size_of(unit: Unit, domain: DomainSettings, validation_share: float) -> int:
    """Bytes of a unit's file, or about as many as its part of the story world will have."""
    if unit.path is not None:
        return unit.path.stat().st_size
    return STORY_BYTES * _story_count(unit, domain, validation_share)


def _story_count(unit: Unit, domain: DomainSettings, validation_share: float) -> int:
    assert domain.storyworld is not None
    count = domain.storyworld.count
    return count if unit.split == "train" else round(count * validation_share)


def records_of(
    unit: Unit, domain: DomainSettings, validation_share: float, reject: Reject, advance: Advance
) -> Iterator[Record]:
    """The records of a unit; a story world's validation split is `validation_share` of its count."""
    if unit.path is not None:
        yield from read_records(unit.path, domain.field, reject, advance)
        return
    story = domain.storyworld
    assert story is not None
    assert unit.split is not None
    count = _story_count(unit, domain, validation_share)
    for row in documents(story.seed, count, story.vocabulary, unit.split, story.kinds):
        advance(STORY_BYTES)
        language = row["lang"] if row["lang"] in ("ko", "en") else None
        messages = tuple(row.get("messages", ()))
        yield Record(row["id"], text=row.get("text", ""), messages=messages, language=language)


def finished_note(partial: Path, unit: Unit, seen: Seen) -> dict[str, Any] | None:
    """The note of a unit that an earlier build finished, its documents remembered in `seen`; None when it did not."""
    note = _note_path(partial, unit)
    if not note.is_file():
        return None
    with np.load(note.with_suffix(".npz"), allow_pickle=False) as arrays:
        seen.load(arrays["hashes"], arrays["signatures"])
    return read_json(note, "note of a finished file")


def _note_path(partial: Path, unit: Unit) -> Path:
    return partial / "units" / f"{unit.domain}-{unit.number:05d}.json"


def split_of(record: Record, text: str, domain: DomainSettings, share: float) -> str:
    """ "train", or "validation-ko" / "validation-en" by the hash of the text: every build and every order agrees."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    if number >= share * 2**64:
        return "train"
    return f"validation-{record.language or domain.lang or language_of(text)}"


class UnitWriter:
    """Runs one unit. `seen` and `evaluations` are shared by all units of a build; `advance` hears of bytes read."""

    def __init__(
        self,
        partial: Path,
        unit: Unit,
        s: DataSettings,
        words: WordCache | Workers,
        seen: Seen,
        evaluations: Evaluations,
        advance: Advance,
    ) -> None:
        self.partial, self.unit, self.s, self.words, self.advance = partial, unit, s, words, advance
        self.coder = words.tokenizer
        self.domain, self.seen, self.evaluations = s.domains[unit.domain], seen, evaluations
        self.read = self.masked = 0
        self.dropped: dict[str, int] = {}
        self.quarantine: list[tuple[str, str]] = []
        self._shards: dict[str, ShardWriter] = {}

    def run(self, used_bytes: int) -> dict[str, Any]:
        """Writes the unit's shards and its note; `used_bytes` of the domain's limit are gone. Returns the note."""
        (self.partial / self.unit.domain).mkdir(parents=True, exist_ok=True)
        waiting: deque[tuple[list[_Kept], Future]] = deque()
        threads = self.words.count if isinstance(self.words, Workers) else 1
        with ThreadPoolExecutor(max_workers=threads) as pool:
            for batch in self._batches(used_bytes):
                waiting.append((batch, pool.submit(self._encode, batch)))
                if len(waiting) > threads:
                    self._append(*waiting.popleft())
            for part in waiting:
                self._append(*part)
        for shard in self._shards.values():
            shard.close()
        return self._finish()

    def _batches(self, used_bytes: int) -> Iterator[list[_Kept]]:
        batch: list[_Kept] = []
        size, limit = 0, self.domain.limit_bytes
        for record in records_of(self.unit, self.domain, self.s.validation_share, self._reject, self.advance):
            if limit is not None and used_bytes >= limit:
                break
            self.read += 1
            kept = self._keep(record)
            if kept is None:
                continue
            batch.append(kept)
            size, used_bytes = size + kept.bytes, used_bytes + kept.bytes
            if size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _reject(self, reason: str, place: str) -> None:
        self.read += 1
        self._drop(reason)
        if len(self.quarantine) < QUARANTINED:
            self.quarantine.append((reason, place))

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def _keep(self, record: Record) -> _Kept | None:
        if bool(record.messages) != (self.domain.format == "chat"):
            wrong = "a conversation" if record.messages else "no conversation"
            self._drop(f"{wrong} in a {self.domain.format} domain")
            return None
        texts = [self._clean(text) for text in [m["content"] for m in record.messages] or [record.text]]
        whole = "\n".join(texts)
        is_story = self.unit.path is None
        rules = None if is_story or record.messages else why_drop(whole, self.domain.lang, self.s.clean)
        if record.messages and not all(texts):
            rules = "empty turn"
        reason = rules or self.seen.why_drop(whole, near=not is_story and not record.messages)
        if reason is None and self.evaluations.overlaps(whole):
            reason = "in an evaluation"
        if reason is not None:
            self._drop(reason)
            return None
        messages = tuple({"role": m["role"], "content": t} for m, t in zip(record.messages, texts, strict=False))
        clean = Record(record.id, "" if messages else whole, messages, record.language)
        split = (
            split_of(record, whole, self.domain, self.s.validation_share) if not is_story else self._story_split(clean)
        )
        return _Kept(clean, split, len(whole.encode()))

    def _story_split(self, record: Record) -> str:
        """A story world divides itself by plot; conversations of its validation split are left to evaluations."""
        if self.unit.split == "train":
            return "train"
        return f"validation-{record.language or language_of(record.text)}"

    def _clean(self, text: str) -> str:
        text = normalize(text)
        if self.s.clean.mask_personal:
            text, count = mask_personal(text)
            self.masked += count
        return text

    def _encode(self, batch: list[_Kept]) -> list[tuple[Sequence[int] | np.ndarray, list[int] | None]]:
        if self.domain.format == "chat":
            chats = encode_chats(self.coder, [kept.record.messages for kept in batch])
            return [(chat.ids, chat.mask) for chat in chats]
        return [(ids, None) for ids in self.words.encode([kept.record.text for kept in batch])]

    def _append(self, batch: list[_Kept], encoded: Future) -> None:
        bos = self.coder.bos_id if self.coder.bos_id is not None else self.coder.eos_id
        if bos is None:
            raise UserError(f"{self.coder.where}: neither BOS nor EOS; documents need a mark between them; name one")
        for kept, (ids, mask) in zip(batch, encoded.result(), strict=True):
            shard = self._shard(kept.split)
            if mask is None:
                shard.append(np.concatenate([[bos], ids]), kept.bytes)
            else:
                shard.append(ids, kept.bytes, mask)

    def _shard(self, split: str) -> ShardWriter:
        if split not in self._shards:
            base = self.partial / self.unit.domain / f"{split}-{self.unit.number:05d}"
            self._shards[split] = ShardWriter(base, self.coder.vocab_size, self.domain.format == "chat")
        return self._shards[split]

    def _finish(self) -> dict[str, Any]:
        splits: dict[str, dict[str, Any]] = {}
        for split, shard in self._shards.items():
            counts = {"documents": shard.documents, "tokens": shard.tokens, "bytes": shard.bytes}
            splits[split] = {"shard": shard.base.name, **counts}
        note = {
            "domain": self.unit.domain,
            "source": str(self.unit.path or f"story world, {self.unit.split}"),
            "read": self.read,
            "bytes": sum(part["bytes"] for part in splits.values()),
            "masked": self.masked,
            "dropped": self.dropped,
            "quarantine": self.quarantine,
            "splits": splits,
        }
        path, buffer = _note_path(self.partial, self.unit), io.BytesIO()
        hashes, signatures = self.seen.drain()
        np.savez(buffer, hashes=hashes, signatures=signatures)
        path.parent.mkdir(exist_ok=True)
        remove_stale(path)
        atomic_write(path.with_suffix(".npz"), buffer.getvalue())
        atomic_write(path, to_json(note))
        return note
