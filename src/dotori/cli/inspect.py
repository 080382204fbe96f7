"""`dotori inspect`.

Run folder: its stages. Model, tokenizer, export, evaluation: where it comes from, sizes, figures, proofs. Dataset: what
is in it, and one conversation with the words that are learnt marked: in colour on a terminal, else in [brackets].
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from dotori.cli.options import add_json, print_json
from dotori.errors import UserError


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", type=Path, help="a folder that dotori made, or a .gguf file")
    add_json(parser)


def run(options: Namespace) -> int:
    """Prints how a folder came to be."""
    from dotori.files import read_json

    folder = options.folder.parent if options.folder.suffix == ".gguf" else options.folder
    for name, lines in (("stages.json", _run), ("manifest.json", _dataset), ("lineage.json", _lineage)):
        if (folder / name).is_file():
            document = read_json(folder / name, "folder")
            print_json(document) if options.json else print("\n".join(lines(folder, document)))
            return 0
    raise UserError(
        f"{options.folder}: holds no stages.json, manifest.json or lineage.json; a folder that dotori made is needed; "
        "check the path"
    )


def _run(folder: Path, records: dict[str, Any]) -> Iterator[str]:
    yield f"run {folder}: {len(records)} stages, {sum(row['seconds'] for row in records.values()):.1f} s"
    for name, row in records.items():
        state = f"{row['seconds']:8.1f} s" if row["output"] else "unfinished"
        yield f"  {name:16} {row['kind']:10} {state:>10}  from {', '.join(row['parents']) or 'text'}"


def _lineage(folder: Path, document: dict[str, Any]) -> Iterator[str]:
    yield f"{folder}: made by stage {document['stage']}, {_versions(document['versions'])}"
    for title in ("parents", "data"):
        for name, value in document[title].items():
            yield f"  {title:8} {name}: {str(value)[:16]}"
    if document.get("seed") is not None:
        yield f"  seed     {document['seed']}"
    if document.get("tokens_seen"):
        yield f"  tokens   {document['tokens_seen']:,}"
    for name in document["files"]:
        path = folder / name
        yield f"  file     {name}: " + (f"{path.stat().st_size:,} bytes" if path.is_file() else "MISSING")
    for title in ("settings", "metrics"):
        yield f"  {title}"
        yield from (f"    {key} = {_value(value)}" for key, value in document[title].items())
    for proof in document["proofs"]:
        mark = "held" if proof["passed"] else "FAILED"
        yield f"  proof    {proof['name']}: {_value(proof['value'])} (limit {_value(proof['threshold'])}), {mark}"
        yield f"           {proof['how']}"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _dataset(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    yield f"{folder}: dataset, vocabulary {manifest['vocab_size']}, tokenizer {manifest['tokenizer'][:16]}"
    for name, entry in manifest["domains"].items():
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in entry["dropped"].items()) or "nothing"
        yield f"  {name} ({entry['format']}): {entry['read']:,} read; left out: {dropped}"
        for split, part in entry["splits"].items():
            size = part["bytes"] / 1e6
            yield f"    {split:14} {part['documents']:>9,} documents {part['tokens']:>12,} tokens {size:>9.2f} MB"
    for name, entry in manifest["domains"].items():
        if entry["format"] == "chat":
            yield from _example(folder, manifest, name)
            return


def _example(folder: Path, manifest: dict[str, Any], domain: str) -> Iterator[str]:
    """The first conversation of a domain, learnt tokens marked."""
    from dotori.data.shards import Stream
    from dotori.tokenizer.load import load_tokenizer

    part = manifest["domains"][domain]["splits"].get("train")
    places = [place.parent for place in sorted(folder.absolute().parent.glob("*/tokenizer.json"))]
    tokenizer = next((t for t in map(load_tokenizer, places) if t.hash == manifest["tokenizer"]), None)
    if part is None or not part["documents"] or tokenizer is None:
        yield "  no example: its tokenizer is not in a folder beside this one"
        return
    stream = Stream([folder / domain / name for name in part["shards"]], manifest["vocab_size"], with_mask=True)
    start, end = stream.document_starts[:2].tolist()
    ids, mask = stream.read(start, end).tolist(), stream.read_mask(start, end).tolist()
    names = {index: text for text, index in tokenizer.special.items()}
    yield f"  one conversation of {domain}; {sum(mask)} of {len(ids)} tokens are learnt:"
    text = ""
    for learnt, group in groupby(zip(ids, mask, strict=True), key=lambda pair: pair[1]):
        words = _text(tokenizer, [index for index, _ in group], names)
        text += _marked(words) if learnt else words
    yield from ("    " + line for line in text.split("\n"))


def _text(tokenizer: Any, ids: list[int], names: dict[int, str]) -> str:
    parts = groupby(ids, key=lambda index: index in names)
    return "".join(
        "".join(names[index] for index in group) if special else tokenizer.decode(group) for special, group in parts
    )


def _marked(text: str) -> str:
    """Learnt words: green on a terminal, line by line so that a pager keeps the colour; else in brackets."""
    if not sys.stdout.isatty():
        return f"[{text}]"
    return "\n".join(f"\x1b[1;32m{line}\x1b[0m" for line in text.split("\n"))
