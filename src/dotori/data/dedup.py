"""Duplicates: exact ones by hash, near ones by MinHash over character 8-grams (Broder 1997), which suits Korean as
well.

A signature is one permutation split into 63 bins (Li et al. 2012): each shingle's hash falls into one bin, a bin keeps
its least. Signatures are cut into 9 bands of 7; documents that share a band are compared, and one whose bins agree to
`THRESHOLD` is dropped. Memory: 8 bytes a document for exact ones, about 1.2 kB for near ones, whatever its length.
"""

from __future__ import annotations

import hashlib

import numpy as np

SHINGLE, BANDS, ROWS = 8, 9, 7
BINS = BANDS * ROWS
THRESHOLD = 0.8
MIN_CHARACTERS = 200  # below this a signature says little and the exact hash is enough
MAX_CHARACTERS = 200_000  # the head of a longer document identifies it
_BASE = 1_000_003
_DOUBLINGS = [(n, np.uint64(pow(_BASE, n, 1 << 64))) for n in (1, 2, 4)]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def words_of(text: str) -> list[str]:
    """The words of a text, case and spacing aside."""
    return text.lower().split()


def text_hash(words: list[str]) -> int:
    """64 bits of all words without what stands between them."""
    return int.from_bytes(hashlib.blake2b("".join(words).encode(), digest_size=8).digest(), "little")


def signature(words: list[str]) -> np.ndarray | None:
    """uint32 (BINS,), or None for a text too short to have one."""
    kept = " ".join(words)[:MAX_CHARACTERS]
    if len(kept) < MIN_CHARACTERS:
        return None
    hashes = np.frombuffer(kept.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        # A polynomial of SHINGLE characters, by doubling: that of 2 n is that of the first n, shifted, plus the last n.
        for n, power in _DOUBLINGS:
            hashes = hashes[:-n] * power + hashes[n:]
        hashes *= _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
        hashes *= np.uint64(0xBF58476D1CE4E5B9)
    bins = ((hashes >> np.uint64(48)) * np.uint64(BINS)) >> np.uint64(16)
    values = (hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    least = np.full(BINS, 0xFFFFFFFF, dtype=np.uint32)
    np.minimum.at(least, bins.astype(np.int64), values)
    return _filled(least)


def _filled(least: np.ndarray) -> np.ndarray:
    """Empty bins borrow the value of the next full one to the right, around the end."""
    empty = least == 0xFFFFFFFF
    if not empty.any():
        return least
    full = np.flatnonzero(~empty)
    following = full[np.searchsorted(full, np.arange(BINS)) % len(full)]
    return np.where(empty, least[following] + np.arange(BINS, dtype=np.uint32), least)


class Seen:
    """What has been kept so far, and in `journal` what was added since the last drain()."""

    def __init__(self, near: bool) -> None:
        self.near = near
        self._hashes: set[int] = set()
        self._bands: dict[int, int] = {}
        self._signatures: list[np.ndarray] = []
        self._journal: tuple[list[int], list[np.ndarray]] = ([], [])

    def why_drop(self, text: str, near: bool) -> str | None:
        """The reason to drop a text, or None after remembering it. `near` looks for near duplicates of it too."""
        words = words_of(text)
        exact = text_hash(words)
        if exact in self._hashes:
            return "duplicate"
        found = signature(words) if near and self.near else None
        if found is not None and self._is_near(found):
            return "near duplicate"
        self._hashes.add(exact)
        self._journal[0].append(exact)
        if found is not None:
            self._add(found)
            self._journal[1].append(found)
        return None

    def drain(self) -> tuple[np.ndarray, np.ndarray]:
        """Hashes uint64 (n,) and signatures uint32 (m, BINS) added since the last call."""
        hashes, signatures = self._journal
        self._journal = ([], [])
        return np.array(hashes, dtype=np.uint64), np.array(signatures, dtype=np.uint32).reshape(-1, BINS)

    def load(self, hashes: np.ndarray, signatures: np.ndarray) -> None:
        """Remembers what an earlier drain() gave."""
        self._hashes.update(hashes.tolist())
        for found in signatures:
            self._add(found)

    def _add(self, found: np.ndarray) -> None:
        for band in _bands(found):
            self._bands.setdefault(band, len(self._signatures))
        self._signatures.append(found)

    def _is_near(self, found: np.ndarray) -> bool:
        candidates = {self._bands[band] for band in _bands(found) if band in self._bands}
        return any(np.count_nonzero(self._signatures[i] == found) >= THRESHOLD * BINS for i in candidates)


def _bands(found: np.ndarray) -> list[int]:
    rows = found.reshape(BANDS, ROWS)
    return [hash((number, row.tobytes())) for number, row in enumerate(rows)]
