"""Token ids of many texts through a memory of words: text repeats its words, and a word's ids do not depend on others.

Where the pre-tokenizer is the `qwen2` one, no token reaches from behind a word into the space before the next: texts
are cut there, pieces met before are looked up, and only new pieces go to the library, in one parallel batch. The ids
are those of `Tokenizer.encode_batch`, the slow twin; other tokenizers and odd white space go that way.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dotori.tokenizer.byte_level import pretokenizer_name
from dotori.tokenizer.load import Tokenizer

# A word with the one blank before it, and behind it whatever white space is left over once the next word took its own:
# all but the last character, or all when that ends a line or the text.
_PIECE = re.compile(r"[^\S\r\n]?\S+(?:\s+(?=[^\S\r\n]\S)|\s*[\r\n](?=\S)|\s+\Z)?")
# White space to Python but not to the tokenizers library, or the other way round.
_ODD = re.compile("[\x0b\x0c\x1c-\x1f\x85\u180e\u200b\u2028\u2029\ufeff]")
_LONGEST = 64
_MARK, _GROUP = "0", 200


def id_dtype(tokenizer: Tokenizer) -> np.dtype:
    """The type that holds every id."""
    return np.dtype("<u2") if tokenizer.vocab_size <= 1 << 16 else np.dtype("<u4")


class WordCache:
    """Encodes texts, one thread at a time; remembers `capacity` pieces (about 250 bytes each), then starts over."""

    def __init__(self, tokenizer: Tokenizer, capacity: int = 1_000_000) -> None:
        self.tokenizer, self.capacity = tokenizer, capacity
        self.dtype = id_dtype(tokenizer)
        self._known: dict[str, bytes] = {}
        plain = tokenizer.normalizer is None and not tokenizer.added
        self._is_cut = plain and pretokenizer_name(tokenizer.pre_tokenizer) == "qwen2"

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """Ids of each text, uint16 or uint32 by the size of the vocabulary."""
        if len(self._known) > self.capacity:
            self._known.clear()
        known, gaps = self._known, []
        parts: list[list[Any]] = []
        for text in texts:
            pieces = self._cut(text)
            found: list[Any] = list(map(known.get, pieces))
            parts.append(found)
            if None in found:
                gaps.append((found, {index: pieces[index] for index, ids in enumerate(found) if ids is None}))
        self._learn(list({piece for _, missing in gaps for piece in missing.values()}))
        for found, missing in gaps:
            for index, piece in missing.items():
                found[index] = known[piece]
        for _, missing in gaps:
            for piece in missing.values():
                if len(piece) > _LONGEST:  # seldom met again
                    known.pop(piece, None)
        return [np.frombuffer(b"".join(found), dtype=self.dtype) for found in parts]

    def _learn(self, new: list[str]) -> None:
        """Asks the library for new pieces; most of them joined, since a call of its own costs each several times its
        tokens. A digit is a token by itself, so ids are cut again where the mark stands."""
        joined = [
            piece for piece in new if _MARK not in piece and not (piece[-1:].isspace() and piece[-1] not in "\r\n")
        ]
        alone = list(set(new) - set(joined))
        for piece, ids in zip(alone, self.tokenizer.encode_batch(alone), strict=True):
            self._known[piece] = np.array(ids, dtype=self.dtype).tobytes()
        groups = [joined[first : first + _GROUP] for first in range(0, len(joined), _GROUP)]
        [mark] = self.tokenizer.encode(_MARK)
        for group, ids in zip(
            groups, self.tokenizer.encode_batch([_MARK.join(group) for group in groups]), strict=True
        ):
            array = np.array(ids, dtype=self.dtype)
            ends = [*np.flatnonzero(array == mark).tolist(), len(array)]
            starts = [0, *(end + 1 for end in ends[:-1])]
            raw, size = array.tobytes(), self.dtype.itemsize
            for piece, start, end in zip(group, starts, ends, strict=True):
                self._known[piece] = raw[start * size : end * size]

    def _cut(self, text: str) -> list[str]:
        if not self._is_cut or text[:1].isspace() or _ODD.search(text):
            return [text]
        pieces = _PIECE.findall(text)
        return pieces if sum(map(len, pieces)) == len(text) else [text]
