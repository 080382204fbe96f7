"""SentencePiece's BPE (tokenizer.ggml.model llama) as a tokenizer.json.

SentencePiece merges the neighbours that together spell the piece of the best score, the leftmost of equals. A
tokenizer.json ranks pairs instead: every split of a piece into two pieces becomes a merge, the best score first and of
one piece the longest left part first, as published converters do. Both give the same ids where no two merged pieces
share a score and every character of a merged piece is a piece. Elsewhere (vocabularies extended with pieces of score
0) ranks cannot say "the leftmost", so `PieceSplitter` cuts the text instead; the tokenizer.json that is saved then
still holds the merges.
"""

from __future__ import annotations

import heapq
import math
import re
from dataclasses import dataclass

from tokenizers import NormalizedString, PreTokenizedString
from tokenizers.pre_tokenizers import PreTokenizer

from dotori.errors import UserError
from dotori.tokenizer.byte_level import VocabularyParts, added_tokens, bos_first, folder_files, vocabulary_json
from dotori.tokenizer.load import Tokenizer

# llama.cpp's token types.
UNDEFINED, NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(7)
_SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class PieceParts:
    """What the tokenizer consists of besides `parts`, whose control ids include those of type UNKNOWN.

    types, scores: one a token; unknown: the id of what a character becomes where bytes have no tokens, or None;
    adds_space: whether a space goes before a text and before what follows a user-defined token.
    """

    parts: VocabularyParts
    types: list[int]
    scores: list[float]
    unknown: int | None
    adds_space: bool


def pieces_tokenizer(pieces: PieceParts, where: str) -> Tokenizer:
    """The tokenizer of these parts; `where` is named in errors. Raises UserError for parts that do not fit together."""
    has_bytes = _check(pieces, where)
    scores = _text_pieces(pieces)
    merges, is_exact = _merges(scores)
    files = folder_files(_tokenizer_json(pieces, merges, has_bytes), pieces.parts, indent=None)
    tokenizer = Tokenizer(files, where)
    if not is_exact:
        tokenizer.backend.pre_tokenizer = PreTokenizer.custom(PieceSplitter(scores))  # type: ignore[attr-defined]
        tokenizer.backend.model.ignore_merges = True
    return tokenizer


def _check(pieces: PieceParts, where: str) -> bool:
    """Whether the 256 bytes have tokens; raises UserError for what cannot be a tokenizer."""
    tokens, types, scores = pieces.parts.tokens, pieces.types, pieces.scores
    if len(scores) != len(tokens) or not all(isinstance(s, int | float) and math.isfinite(s) for s in scores):
        raise UserError(f"{where}: tokenizer.ggml.scores {len(scores)}; one finite number a token is needed")
    for token, kind in zip(tokens, types, strict=True):
        if kind == BYTE and not _BYTE.fullmatch(token):
            raise UserError(f"{where}: byte token {token!r}; <0x00> to <0xFF> are needed; get the file again")
        # The model part of a tokenizer.json takes every character that it has a token for.
        if kind in (CONTROL, UNKNOWN) and len(token) == 1:
            raise UserError(f"{where}: control token {token!r}; text may hold it, so two characters are needed")
    named = [(token, kind) for token, kind in zip(tokens, types, strict=True) if _BYTE.fullmatch(token)]
    count = sum(kind in (BYTE, NORMAL) for _, kind in named)
    if count != len(named) or count not in (0, 256) or (not count and pieces.unknown is None):
        raise UserError(f"{where}: {count} byte tokens; 256 are needed, or none and an unknown token; convert it again")
    return count == 256


def _text_pieces(pieces: PieceParts) -> dict[str, float]:
    """Spelling -> score of what merging may end in."""
    tokens = pieces.parts.tokens
    controls = "\0".join(tokens[index] for index in pieces.parts.control)
    scores: dict[str, float] = {}
    for token, kind, score in zip(tokens, pieces.types, pieces.scores, strict=True):
        may_merge = kind in (UNDEFINED, NORMAL)
        if kind == USER_DEFINED:
            # Found before merging begins, but for spelled spaces and for the spelling of a control token.
            may_merge = _SPACE in token or token in controls
        if may_merge and token and " " not in token and not _BYTE.fullmatch(token):
            scores[token] = score
    return scores


def _merges(scores: dict[str, float]) -> tuple[list[tuple[str, str]], bool]:
    """(left, right) of every merge, best first, and whether they give SentencePiece's ids for every text."""
    found: list[tuple[float, int, str, str]] = []
    taken: set[float] = set()
    lengths = {1, *map(len, scores)}
    is_exact = True
    for piece, score in scores.items():
        before = len(found)
        for at in range(1, len(piece)):
            if at not in lengths or len(piece) - at not in lengths:
                continue
            left, right = piece[:at], piece[at:]
            if left in scores and right in scores:
                found.append((score, at, left, right))
            elif (at == 1 or left in scores) and (len(right) == 1 or right in scores):
                is_exact = False  # SentencePiece merges characters that are no pieces too
        if len(found) > before:
            is_exact = is_exact and score not in taken
            taken.add(score)
    found.sort(key=lambda merge: merge[:2], reverse=True)
    return [(left, right) for _, _, left, right in found], is_exact


def _tokenizer_json(pieces: PieceParts, merges: list[tuple[str, str]], has_bytes: bool) -> dict:
    parts, unknown = pieces.parts, pieces.unknown
    normalizers: list[dict] = [{"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}]
    decoders: list[dict] = [{"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}]
    decoders += [{"type": "ByteFallback"}, {"type": "Fuse"}]
    if pieces.adds_space:
        normalizers.insert(0, {"type": "Prepend", "prepend": _SPACE})
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(parts),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": bos_first(parts),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None if unknown is None else parts.tokens[unknown] or None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            # Where there are bytes nothing is unknown; elsewhere each character becomes one unknown token.
            "fuse_unk": has_bytes,
            "byte_fallback": has_bytes,
            "ignore_merges": False,
            "vocab": vocabulary_json(parts.tokens),
            "merges": [list(pair) for pair in merges],
        },
    }


class PieceSplitter:
    """A pre-tokenizer that cuts a text into its pieces; what is no piece is left as single characters."""

    def __init__(self, scores: dict[str, float]) -> None:
        """`scores`: spelling -> score."""
        self._scores = scores

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        """Cuts `text` in place."""
        text.split(lambda _, part: _slices(part, self.lengths(str(part))))

    def lengths(self, text: str) -> list[int]:
        """The characters of each piece in turn. O(n log n)."""
        size = len(text)
        end, before = list(range(1, size + 1)), list(range(-1, size - 1))  # of the symbol that begins here; end 0: none
        heap: list[tuple[float, int, int]] = []

        def consider(left: int, stop: int) -> None:
            score = self._scores.get(text[left:stop])
            if score is not None:
                heapq.heappush(heap, (-score, left, stop))

        for left in range(size - 1):
            consider(left, left + 2)
        while heap:
            _, left, stop = heapq.heappop(heap)
            middle = end[left]
            if middle in (0, size) or end[middle] != stop:
                continue  # one of the two has grown since
            end[left], end[middle] = stop, 0
            if stop < size:
                before[stop] = left
                consider(left, end[stop])
            if before[left] >= 0:
                consider(before[left], stop)
        return [stop - begin for begin, stop in enumerate(end) if stop]


def _slices(part: NormalizedString, lengths: list[int]) -> list[NormalizedString]:
    """`part` in slices; halved again and again, because a slice takes time in proportion to what it is cut from."""
    if len(lengths) <= 1:
        return [part]
    half = len(lengths) // 2
    at = sum(lengths[:half])
    left, right = part[:at], part[at:]
    assert left is not None
    assert right is not None
    return [*_slices(left, lengths[:half]), *_slices(right, lengths[half:])]
