"""Files to records, in memory bounded whatever a file holds.

.txt (one document a file, cut at a blank line behind every 256 KiB), .jsonl (one object a line), .parquet; .txt and
.jsonl also as .gz and .zst. Broken records are counted by reason and handed on, never repaired in silence; a truncated
archive is an error, since what is missing from it cannot be counted.
"""

from __future__ import annotations

import glob
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
import pyarrow.parquet
import zstandard

from dotori.errors import UserError

LINE_BYTES = 8 << 20
TEXT_BYTES = 256 << 10
ENDINGS = (".txt", ".jsonl", ".parquet", ".txt.gz", ".txt.zst", ".jsonl.gz", ".jsonl.zst")
Reject = Callable[[str, str], None]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Record:
    """One document: `text`, or `messages` of a conversation; `id` names it in reports."""

    id: str
    text: str = ""
    messages: tuple[dict[str, str], ...] = ()
    language: str | None = None


def find_files(paths: tuple[str, ...]) -> list[Path]:
    """The files that paths, folders and globs name, sorted, each once; raises UserError for a path that names none."""
    found: list[Path] = []
    for path in paths:
        place = Path(path).expanduser()
        if place.is_dir():
            matches = [file for file in sorted(place.rglob("*")) if file.name.endswith(ENDINGS) and file.is_file()]
        elif place.is_file():
            matches = [place]
        else:
            matches = [Path(match) for match in sorted(glob.glob(str(place), recursive=True)) if Path(match).is_file()]
        if not matches:
            raise UserError(f"{path}: no file; a file, a folder or a glob that matches {', '.join(ENDINGS)} is needed")
        for match in matches:
            if not match.name.endswith(ENDINGS):
                raise UserError(f"{match}: unknown ending; one of {', '.join(ENDINGS)} is needed; convert it")
        found += matches
    return list(dict.fromkeys(found))


def read_records(path: Path, field: str, reject: Reject, advance: Advance = lambda size: None) -> Iterator[Record]:
    """Records of one file. `field` holds the text in .jsonl and .parquet; rows with `messages`,
    `instruction`/`output` or `prompt`/`response` become conversations. reject(reason, place) is told of every broken
    one, advance(size) of every `size` more bytes of the file that were read.

    Raises UserError for a truncated or damaged archive, a directory, an unreadable file.
    """
    if path.name.endswith(".parquet"):
        yield from _parquet(path, field, reject, advance)
        return
    with _raw(path) as raw, _unpacked(path, raw) as stream:
        at = 0
        try:
            for record in (_text if ".txt" in path.suffixes else _jsonl)(path, stream, field, reject):
                now = raw.tell()
                if now > at:
                    advance(now - at)
                    at = now
                yield record
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            raise UserError(f"{path}: damaged or truncated archive ({error}); get the file again") from None
        advance(path.stat().st_size - at)


def _unpacked(path: Path, raw: BinaryIO) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    return io.BufferedReader(_Zstd(raw), 1 << 20) if path.suffix == ".zst" else raw


def _raw(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except IsADirectoryError:
        raise UserError(
            f"{path}: a directory; a file is needed; name the files inside it or the folder above"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it must be readable; check the path") from None


class _Zstd(io.RawIOBase):
    """A .zst file that ends too early raises EOFError, which the library's own reader does not."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._decoder, self._left = file, zstandard.ZstdDecompressor().decompressobj(), b""
        self._is_open_frame = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = self._decoder.unused_data or self._file.read(1 << 17)
            if self._decoder.eof:
                self._decoder = zstandard.ZstdDecompressor().decompressobj()
                self._is_open_frame = False
            if not chunk:
                if self._is_open_frame:
                    raise EOFError("ends inside a frame")
                return 0
            self._is_open_frame = True
            self._left = self._decoder.decompress(chunk)
            if self._decoder.eof and not self._decoder.unused_data:
                self._is_open_frame = False
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def _decode(raw: bytes, place: str, reject: Reject) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        reject("broken UTF-8", f"{place}, byte {error.start}")
        return None


def _text(path: Path, stream: BinaryIO, field: str, reject: Reject) -> Iterator[Record]:
    parts: list[bytes] = []
    size = number = 0
    for line in _lines(stream):
        if line is None:
            reject("line too long", f"{path.name}, part {number}")
            continue
        line = line.removeprefix(b"\xef\xbb\xbf") if number == size == 0 else line
        parts.append(line)
        size += len(line)
        if size >= TEXT_BYTES and not line.strip():
            yield from _part(path, parts, number, reject)
            parts, size, number = [], 0, number + 1
    yield from _part(path, parts, number, reject)


def _part(path: Path, parts: list[bytes], number: int, reject: Reject) -> Iterator[Record]:
    text = _decode(b"".join(parts), f"{path.name}, part {number}", reject)
    if text is not None and text.strip():
        yield Record(f"{path.name}:{number}", text)


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines of at most LINE_BYTES; None in place of a longer one, which is skipped piece by piece."""
    while line := stream.readline(LINE_BYTES + 1):
        if len(line) <= LINE_BYTES:
            yield line
            continue
        yield None
        while not line.endswith(b"\n") and (line := stream.readline(LINE_BYTES)):
            pass


def _jsonl(path: Path, stream: BinaryIO, field: str, reject: Reject) -> Iterator[Record]:
    number = 0
    for line in _lines(stream):
        number += 1
        place = f"{path.name}:{number}"
        if line is None:
            reject("line too long", place)
            continue
        text = _decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, place, reject)
        if text is None or not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            reject("broken JSON", place)
            continue
        if not isinstance(row, dict):
            reject("not an object", place)
            continue
        if record := _record(row, place, field, reject):
            yield record


def _parquet(path: Path, field: str, reject: Reject, advance: Advance) -> Iterator[Record]:
    wanted = {field, "messages", "instruction", "input", "output", "prompt", "response", "lang"}
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name in wanted]
            number, size = 0, path.stat().st_size / max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=256, columns=columns):
                advance(round(size * batch.num_rows))
                for row in batch.to_pylist():
                    number += 1
                    if record := _record(row, f"{path.name}:{number}", field, reject):
                        yield record
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not readable as parquet ({error}); get the file again") from None


def _record(row: dict[str, Any], place: str, field: str, reject: Reject) -> Record | None:
    language = row.get("lang") if row.get("lang") in ("ko", "en") else None
    if isinstance(row.get(field), str):
        return _clean_unicode(Record(place, text=row[field], language=language), reject)
    messages = _messages(row)
    if messages is None:
        reject(f"no field {field!r}", place)
        return None
    return _clean_unicode(Record(place, messages=messages, language=language), reject)


def _messages(row: dict[str, Any]) -> tuple[dict[str, str], ...] | None:
    if isinstance(row.get("messages"), list):
        turns = [(m.get("role"), m.get("content")) if isinstance(m, dict) else (None, None) for m in row["messages"]]
    elif isinstance(row.get("instruction"), str):
        question = "\n".join(part for part in (row["instruction"], row.get("input") or "") if part)
        turns = [("user", question), ("assistant", row.get("output"))]
    else:
        turns = [("user", row.get("prompt")), ("assistant", row.get("response"))]
    if not turns or not all(isinstance(role, str) and isinstance(content, str) for role, content in turns):
        return None
    return tuple({"role": str(role), "content": str(content)} for role, content in turns)


def _clean_unicode(record: Record, reject: Reject) -> Record | None:
    """JSON can spell half a character (a lone surrogate), which no UTF-8 can hold."""
    try:
        for text in (record.text, *(message["content"] for message in record.messages)):
            text.encode()
    except UnicodeEncodeError:
        reject("broken UTF-8", record.id)
        return None
    return record


def read_strings(path: Path) -> Iterator[str]:
    """Every string in every row of a .jsonl file, whatever its fields: what an evaluation file asks and answers."""
    with _raw(path) as raw, _unpacked(path, raw) as stream:
        for line in _lines(stream):
            if line is None or not line.strip():
                continue
            try:
                yield from _strings(json.loads(line))
            except (ValueError, RecursionError):
                raise UserError(f"{path}: a line is not JSON; an evaluation file must be whole; correct it") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
