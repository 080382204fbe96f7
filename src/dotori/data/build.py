"""The data stage: sources to a dataset folder.

    manifest.json                         what is here, what was dropped and why, hashes of sources and files
    tokenizer/                            a copy of the tokenizer it was made with
    quarantine.jsonl                      the first thousand broken records of each file, with their places
    DOMAIN/train-00000.{tokens,...}       one shard a source file; validation-ko-00000, validation-en-00000 beside it

Work goes file by file; a finished file leaves its shards and a note under OUT.partial/, so a build that was cut goes on
with the next file and ends in the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dotori.data.clean import normalize
from dotori.data.decontaminate import Evaluations
from dotori.data.dedup import Seen
from dotori.data.loader import spread
from dotori.data.settings import DataSettings, DomainSettings
from dotori.data.sources import find_files, read_strings
from dotori.data.unit import Unit, UnitWriter, finished_note, records_of, size_of
from dotori.device import detect
from dotori.errors import UserError
from dotori.files import atomic_folder, atomic_write, read_json, sha256_file, sha256_json, to_json
from dotori.runlog import RunLog
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.word_cache import WordCache
from dotori.tokenizer.workers import Workers

FORMAT = 1
# Below this many bytes of sources, starting processes costs more than they save.
WORTH_PROCESSES = 10_000_000
_MOST_WORKERS = 8
_OPEN_FILES = 64
STORY_VOCABULARY = "storyworld.vocabulary"


def plan_units(s: DataSettings) -> list[Unit]:
    """The pieces of work in order: one a source file; two a story world of texts (train, validation)."""
    units: list[Unit] = []
    for name, domain in s.domains.items():
        if domain.storyworld is None:
            units += [Unit(name, number, path, None) for number, path in enumerate(find_files(domain.paths))]
        else:
            splits = ("train", "validation") if domain.format == "text" else ("train",)
            units += [Unit(name, number, None, split) for number, split in enumerate(splits)]
    return units


def build_dataset(s: DataSettings, tokenizer: Path, out: Path, log: RunLog) -> None:
    """Builds the dataset folder `out` with the tokenizer in folder `tokenizer`. Raises UserError, DiskError."""
    coder = load_tokenizer(tokenizer)
    units = plan_units(s)
    identity = _identity(s, coder, units)
    partial = _partial_folder(out, identity)
    evaluations = Evaluations(text for path in find_files(s.decontaminate) for text in read_strings(path))
    seen = Seen(s.near_duplicates)
    notes: list[dict[str, Any]] = []
    sizes = [size_of(unit, s.domains[unit.domain], s.validation_share) for unit in units]
    used: dict[str, int] = {}
    with _words(coder, tokenizer, sum(sizes)) as words, log.progress("data", sum(sizes), "B") as meter:
        for number, unit in enumerate(units):
            note = finished_note(partial, unit, seen)
            if note is None:
                writer = UnitWriter(partial, unit, s, words, seen, evaluations, meter.advance)
                note = writer.run(used.get(unit.domain, 0))
            notes.append(note)
            used[unit.domain] = used.get(unit.domain, 0) + note["bytes"]
            kept = sum(note["bytes"] for note in notes) / 1e6
            meter.reach(sum(sizes[: number + 1]), f"{kept:.1f} MB kept")
    _finish(s, coder, partial, out, notes, identity)
    shutil.rmtree(partial)
    log.say(summary(read_json(out / "manifest.json", "dataset folder")))


def _identity(s: DataSettings, coder: Tokenizer, units: list[Unit]) -> dict[str, Any]:
    sources = {str(unit.path): sha256_file(unit.path) for unit in units if unit.path}
    return {"format": FORMAT, "settings": asdict(s), "tokenizer": coder.hash, "sources": sources}


def data_lineage(dataset: Path) -> dict[str, str]:
    """What a model's lineage says of the dataset folder it learned from: its hash, and the story world's vocabulary."""
    found = {"dataset": sha256_file(dataset / "manifest.json")}
    for domain in read_json(dataset / "manifest.json", "dataset folder")["settings"]["domains"].values():
        if domain["storyworld"]:
            found[STORY_VOCABULARY] = str(domain["storyworld"]["vocabulary"])
    return found


def _partial_folder(out: Path, identity: dict[str, Any]) -> Path:
    """Where the build works; emptied when it belongs to other settings, sources or another tokenizer."""
    partial = out.parent / f"{out.name}.partial"
    key = sha256_json(identity)
    if partial.exists() and (not (partial / "identity").is_file() or (partial / "identity").read_text() != key):
        shutil.rmtree(partial)
    atomic_write(partial / "identity", key)
    return partial


def _words(coder: Tokenizer, folder: Path, size: int) -> AbstractContextManager[WordCache | Workers]:
    cores = detect().threads
    if size < WORTH_PROCESSES or cores < 2:
        return nullcontext(WordCache(coder))
    return Workers(folder, coder, min(cores, _MOST_WORKERS))


def _finish(
    s: DataSettings, coder: Tokenizer, partial: Path, out: Path, notes: list[dict[str, Any]], identity: dict[str, Any]
) -> None:
    domains = {name: _domain(name, s.domains[name], notes) for name in s.domains}
    if not any(entry["splits"].get("train", {}).get("documents") for entry in domains.values()):
        raise UserError(f"data: no document was left; see what was dropped: {_all_dropped(notes)}; loosen the rules")
    with atomic_folder(out) as folder:
        quarantine = []
        for name in s.domains:
            shutil.copytree(partial / name, folder / name)
        for note in notes:
            quarantine += [{"file": note["source"], "reason": reason, "at": at} for reason, at in note["quarantine"]]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in quarantine)
        (folder / "quarantine.jsonl").write_text(lines, encoding="utf-8")
        coder.save(folder / "tokenizer")
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "vocab_size": coder.vocab_size,
            "tokenizer": coder.hash,
            "domains": domains,
            "split": f"validation: the first 8 bytes of a text's SHA-256 below {s.validation_share} of their range",
            "settings": identity["settings"],
            "sources": identity["sources"],
            "files": {name: sha256_file(folder / name) for name in names},
        }
        manifest["sha256"] = sha256_json(manifest)
        (folder / "manifest.json").write_text(to_json(manifest), encoding="utf-8")


def _domain(name: str, domain: DomainSettings, notes: list[dict[str, Any]]) -> dict[str, Any]:
    splits: dict[str, dict[str, Any]] = {}
    dropped: dict[str, int] = {}
    read = masked = 0
    for note in (note for note in notes if note["domain"] == name):
        read, masked = read + note["read"], masked + note["masked"]
        for reason, count in note["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + count
        for split, part in note["splits"].items():
            entry = splits.setdefault(split, {"documents": 0, "tokens": 0, "bytes": 0, "shards": []})
            entry["shards"].append(part["shard"])
            for key in ("documents", "tokens", "bytes"):
                entry[key] += part[key]
    return {"format": domain.format, "read": read, "masked": masked, "dropped": dropped, "splits": splits}


def _all_dropped(notes: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for note in notes:
        for reason, count in note["dropped"].items():
            counts[reason] = counts.get(reason, 0) + count
    return counts


def summary(manifest: Mapping[str, Any]) -> str:
    """A line a domain: documents, tokens, bytes a token, and what was dropped."""
    lines = []
    for name, entry in manifest["domains"].items():
        parts = entry["splits"].values()
        tokens, size = (sum(part[key] for part in parts) for key in ("tokens", "bytes"))
        dropped = ", ".join(f"{count} {reason}" for reason, count in entry["dropped"].items()) or "nothing"
        lines.append(
            f"{name}: {sum(part['documents'] for part in parts)} documents, {tokens / 1e6:.2f} M tokens, "
            f"{size / max(tokens, 1):.2f} bytes a token; dropped: {dropped}"
        )
    return "\n".join(lines)


def iterate_texts(domains: Mapping[str, DomainSettings]) -> Iterator[str]:
    """Normalised texts for training a tokenizer: domains take turns, and the files of each; conversations give their
    contents.

    So what stops early has seen some of every file, or of files that lie evenly over all; a domain with `limit_bytes`
    is read in order, as its dataset is. What would be quarantined is left out. Deterministic; memory holds a document
    a file.
    """
    return _in_turn([_texts(domain) for domain in domains.values()])


def _in_turn(streams: list[Iterator[str]]) -> Iterator[str]:
    while streams:
        for stream in list(streams):
            text = next(stream, None)
            if text is None:
                streams.remove(stream)
            else:
                yield text


def _texts(domain: DomainSettings) -> Iterator[str]:
    if domain.storyworld is not None:
        yield from _limited(_unit_texts(Unit("", 0, None, "train"), domain), domain.limit_bytes)
        return
    units = [Unit("", number, path, None) for number, path in enumerate(find_files(domain.paths))]
    if domain.limit_bytes is not None:
        yield from _limited((text for unit in units for text in _unit_texts(unit, domain)), domain.limit_bytes)
        return
    order = spread(len(units))
    for start in range(0, len(units), _OPEN_FILES):
        yield from _in_turn([_unit_texts(units[number], domain) for number in order[start : start + _OPEN_FILES]])


def _limited(texts: Iterator[str], limit: int | None) -> Iterator[str]:
    size = 0
    for text in texts:
        if limit is not None and size >= limit:
            return
        size += len(text.encode())
        yield text


def _unit_texts(unit: Unit, domain: DomainSettings) -> Iterator[str]:
    for record in records_of(unit, domain, 0.0, lambda reason, place: None, lambda size: None):
        text = normalize(record.text or "\n".join(message["content"] for message in record.messages))
        if text:
            yield text
