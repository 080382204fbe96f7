"""Speed and memory of building a dataset, beside the tokenizer library alone.

    python benchmarks/data_build.py --data FILES [--rounds 3] [--gigabyte]

Measured, each in a process of its own, in turns:

    clean       everything but tokenizing, one thread: read, decode, normalise, rules, duplicates, decontaminate, write
    tokenize    `encode_batch_fast` of the tokenizers library on the same texts, all threads, nothing else
    build       the whole stage, all threads

The aims: clean at least 5 MB/s a core, build at least 0.8 of tokenize. --gigabyte also builds 1 GB of text and tells
the peak memory of all its processes (aim: below 1.5 GB). MB are 10^6 bytes of UTF-8. Without --data the story world's
largest vocabulary is the text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import in_a_process, median, write

from dotori.data.build import build_dataset, plan_units
from dotori.data.decontaminate import Evaluations
from dotori.data.dedup import Seen
from dotori.data.settings import DataSettings, DomainSettings
from dotori.data.sources import find_files, read_records
from dotori.data.storyworld.generate import documents
from dotori.data.unit import UnitWriter
from dotori.files import read_json
from dotori.runlog import RunLog
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe

VOCAB = 8192
GIGABYTE = 10**9


class NoTokenizer:
    """Stands in for the tokenizer where its time is not to be counted: as many ids as the text would have."""

    vocab_size, bos_id, eos_id, where = VOCAB, 0, 2, "no tokenizer"

    @property
    def tokenizer(self) -> NoTokenizer:
        """Itself, as a word cache has its tokenizer."""
        return self

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """A token every two characters."""
        return [np.ones(len(text) // 2, dtype=np.uint16) for text in texts]


def settings(paths: list[str]) -> DataSettings:
    """One text domain over all files."""
    return DataSettings(domains={"text": DomainSettings(paths=tuple(paths))})


def texts_of(paths: list[str]) -> Iterator[str]:
    """The texts of all files."""
    for path in find_files(tuple(paths)):
        for record in read_records(path, "text", lambda reason, place: None):
            yield record.text


def story_file(folder: Path) -> Path:
    """30 MB of story world as JSON lines."""
    path = folder / "story.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for row in itertools.islice(documents(1, 10**9, "full", kinds={"story": 1.0}), 80_000):
            file.write(json.dumps({"text": row["text"]}, ensure_ascii=False) + "\n")
    return path


def gigabyte_file(paths: list[str], folder: Path) -> Path:
    """1 GB of text whose documents differ: lines of the sources, shuffled anew in every pass."""
    texts, rng, size = list(texts_of(paths)), random.Random(1), 0
    path = folder / "gigabyte.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        while size < GIGABYTE:
            for text in texts:
                words = text.split(" ")
                rng.shuffle(words)
                mixed = " ".join(words)
                size += len(mixed.encode())
                file.write(json.dumps({"text": mixed}, ensure_ascii=False) + "\n")
                if size >= GIGABYTE:
                    break
    return path


def clean(paths: list[str], folder: Path) -> dict[str, float]:
    """Everything but tokenizing."""
    s = settings(paths)
    seen, evaluations = Seen(True), Evaluations(iter(()))
    size, started = 0, time.perf_counter()
    for unit in plan_units(s):
        writer = UnitWriter(folder, unit, s, NoTokenizer(), seen, evaluations, lambda count: None)  # type: ignore[arg-type]
        size += writer.run(0)["bytes"]
    return {"bytes": size, "seconds": time.perf_counter() - started}


def tokenize(paths: list[str], folder: Path) -> dict[str, float]:
    """The library alone, in batches of a million characters, texts in memory."""
    backend = load_tokenizer(folder / "tokenizer").backend
    batches: list[list[str]] = [[]]
    size = 0
    for text in texts_of(paths):
        batches[-1].append(text)
        size += len(text)
        if size > 1_000_000:
            batches.append([])
            size = 0
    total = sum(len(text.encode()) for batch in batches for text in batch)
    started = time.perf_counter()
    for batch in batches:
        backend.encode_batch_fast(batch, add_special_tokens=False)
    return {"bytes": total, "seconds": time.perf_counter() - started}


def build(paths: list[str], folder: Path) -> dict[str, float]:
    """The whole stage."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        with RunLog(quiet=True) as log:
            build_dataset(settings(paths), folder / "tokenizer", Path(out) / "data", log)
        seconds = time.perf_counter() - started
        domain = read_json(Path(out) / "data" / "manifest.json", "dataset")["domains"]["text"]
    size = sum(part["bytes"] for part in domain["splits"].values())
    workers = min(len(os.sched_getaffinity(0)), 8)
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = 1024 * (own + workers * child)
    dropped = sum(domain["dropped"].values())
    return {"bytes": size, "seconds": seconds, "peak_memory_bytes": peak, "read": domain["read"], "dropped": dropped}


WAYS = {"clean": clean, "tokenize": tokenize, "build": build}


def measured(paths: list[str], folder: Path, rounds: int, gigabyte: bool) -> dict:
    """All figures."""
    train_bpe(itertools.islice(texts_of(paths), 3000), VOCAB, folder / "tokenizer")
    words = [str(path) for path in find_files(tuple(paths))]
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            part = in_a_process(__file__, "--way", way, "--folder", str(folder), "--data", *words)
            found[way].append(round(part["bytes"] / part["seconds"] / 1e6, 3))
    speeds = {way: median(values) for way, values in found.items()}
    result: dict = {
        "megabytes_per_second": speeds,
        "all_rounds": found,
        "clean_per_core": speeds["clean"],
        "build_to_tokenize": round(speeds["build"] / speeds["tokenize"], 3),
        "vocab_size": VOCAB,
    }
    if gigabyte:
        path = gigabyte_file(paths, folder)
        part = in_a_process(__file__, "--way", "build", "--folder", str(folder), "--data", str(path))
        result["gigabyte"] = part | {"megabytes_per_second": round(part["bytes"] / part["seconds"] / 1e6, 3)}
    return result


def main() -> None:
    """Measures and writes results/data_build.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=[], help="files, folders or globs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabyte", action="store_true")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.way:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            place = Path(scratch) if options.way == "clean" else options.folder
            print(json.dumps(WAYS[options.way](options.data, place)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        paths = options.data or [str(story_file(Path(scratch)))]
        write("data_build", measured(paths, Path(scratch), options.rounds, options.gigabyte))


if __name__ == "__main__":
    sys.exit(main())
