"""Token shards: flat binary files, written once, read through the page cache.

NAME.tokens      little-endian uint16 (vocabulary <= 65536) or uint32, documents behind each other, each with its BOS
NAME.documents   uint64, where each document starts in NAME.tokens, and the end of the last
NAME.bytes       uint32, UTF-8 bytes of each document's text, for bits per byte
NAME.mask        uint8 per token, 1 where the assistant speaks; chat domains only
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from dotori.errors import UserError
from dotori.files import disk_errors

TOKENS, DOCUMENTS, BYTES, MASK = ".tokens", ".documents", ".bytes", ".mask"


def token_dtype(vocab_size: int) -> np.dtype:
    """The type that token ids are stored in."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


class ShardWriter:
    """Appends documents to the files of one shard. `base` is their path without the ending."""

    def __init__(self, base: Path, vocab_size: int, with_mask: bool) -> None:
        self.base, self.dtype = base, token_dtype(vocab_size)
        self.documents, self.tokens, self.bytes = 0, 0, 0
        base.parent.mkdir(parents=True, exist_ok=True)
        endings = (TOKENS, DOCUMENTS, BYTES, MASK) if with_mask else (TOKENS, DOCUMENTS, BYTES)
        self._files: dict[str, IO[bytes]] = {ending: open(f"{base}{ending}", "wb") for ending in endings}  # noqa: SIM115

    def append(self, ids: Sequence[int] | np.ndarray, text_bytes: int, mask: Sequence[int] | None = None) -> None:
        """One document: its ids with BOS, the UTF-8 bytes of its text, and for chats the loss mask."""
        with disk_errors(self.base):
            self._files[DOCUMENTS].write(np.uint64(self.tokens).tobytes())
            self._files[BYTES].write(np.uint32(min(text_bytes, 2**32 - 1)).tobytes())
            self._files[TOKENS].write(np.asarray(ids, dtype=self.dtype).tobytes())
            if mask is not None:
                self._files[MASK].write(np.asarray(mask, dtype=np.uint8).tobytes())
        self.documents, self.tokens, self.bytes = self.documents + 1, self.tokens + len(ids), self.bytes + text_bytes

    def close(self) -> None:
        """Ends the shard; without this the files are not whole."""
        with disk_errors(self.base):
            if not self._files[DOCUMENTS].closed:
                self._files[DOCUMENTS].write(np.uint64(self.tokens).tobytes())
            for file in self._files.values():
                file.close()


class Stream:
    """Several shards read as one: the documents of a domain's split, behind each other.

    Raises UserError when a file's length disagrees with what the manifest says of it.
    """

    def __init__(self, bases: Sequence[Path], vocab_size: int, with_mask: bool) -> None:
        self._tokens = [_map(base, TOKENS, token_dtype(vocab_size)) for base in bases]
        self._masks = [_map(base, MASK, np.dtype(np.uint8)) for base in bases] if with_mask else []
        self._ends = np.cumsum([len(part) for part in self._tokens], dtype=np.int64)
        starts = [_map(base, DOCUMENTS, np.dtype("<u8")) for base in bases]
        shifts = [0, *self._ends.tolist()]
        self.document_starts = np.concatenate(
            [part[:-1].astype(np.int64) + shift for part, shift in zip(starts, shifts, strict=False)]
            + [np.array([shifts[-1]], dtype=np.int64)]
        )
        sizes = [_map(base, BYTES, np.dtype("<u4")) for base in bases]
        self.document_bytes = np.concatenate([part.astype(np.int64) for part in sizes] or [np.zeros(0, dtype=np.int64)])
        for base, part, tokens in zip(bases, starts, self._tokens, strict=True):
            if int(part[-1]) != len(tokens):
                raise UserError(f"{base}{TOKENS}: {len(tokens)} tokens, {int(part[-1])} expected; build the data anew")

    @property
    def tokens(self) -> int:
        """Tokens in all shards."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def documents(self) -> int:
        """Documents in all shards."""
        return len(self.document_bytes)

    def read(self, start: int, end: int) -> np.ndarray:
        """Token ids start..end-1 as int64; may cross shards."""
        return self._slice(self._tokens, start, end).astype(np.int64)

    def read_mask(self, start: int, end: int) -> np.ndarray:
        """The loss mask of these tokens as bool; all True in a text domain."""
        return self._slice(self._masks, start, end).astype(bool) if self._masks else np.ones(end - start, dtype=bool)

    def _slice(self, parts: list[np.ndarray], start: int, end: int) -> np.ndarray:
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._ends, end - 1, side="right"))
        shift = int(self._ends[first - 1]) if first else 0
        if first == last:
            return parts[first][start - shift : end - shift]
        pieces = [parts[first][start - shift :], *parts[first + 1 : last]]
        return np.concatenate([*pieces, parts[last][: end - int(self._ends[last - 1])]])


def _map(base: Path, ending: str, dtype: np.dtype) -> np.ndarray:
    path = Path(f"{base}{ending}")
    try:
        size = path.stat().st_size
    except OSError:
        raise UserError(f"{path}: missing; the manifest names it; build the data anew") from None
    if size % dtype.itemsize or (ending == DOCUMENTS and size == 0):
        raise UserError(f"{path}: {size} bytes; a multiple of {dtype.itemsize} is needed; build the data anew")
    return np.memmap(path, dtype=dtype, mode="r") if size else np.zeros(0, dtype=dtype)
