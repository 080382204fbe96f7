"""What ends a text: stop ids, and stop strings wherever token borders fall."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dotori.errors import UserError
from dotori.tokenizer.chat import chat_stop_ids
from dotori.tokenizer.load import Tokenizer
from dotori.tokenizer.stream import StreamDecoder


class StopStrings:
    """Holds back ids that may belong to a stop string; what is released decodes to the text before the first one.

    A token that straddles the border is replaced by the ids of its part before the stop string.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        """`stop`: non-empty strings. Raises UserError for an empty one."""
        if "" in stop:
            raise UserError("stop: an empty string; it would stop before the first token; leave it out")
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        self._decoder = StreamDecoder(tokenizer)
        self._pending: list[_Pending] = []

    def push(self, index: int) -> tuple[list[int], bool]:
        """The ids that are now safe to show, and whether a stop string was completed (then nothing more may come)."""
        text = self._decoder.push(index)
        self._pending.append(_Pending(index, text, self._decoder.is_whole))
        text = "".join(item.text for item in self._pending)
        places = [place for place in (text.find(stop) for stop in self._stop) if place >= 0]
        if places:
            ids, shown = self._release(min(places))
            rest = text[shown : min(places)]
            return ids + (self._tokenizer.encode(rest) if rest else []), True
        return self._release(len(text) - self._begun(text))[0], False

    def finish(self) -> list[int]:
        """The ids still held back, when generation ended for another reason."""
        ids, self._pending = [item.index for item in self._pending], []
        return ids

    def _begun(self, text: str) -> int:
        """The length of the longest ending of `text` that begins a stop string."""
        lengths = (n for stop in self._stop for n in range(1, len(stop)) if text.endswith(stop[:n]))
        return max(lengths, default=0)

    def _release(self, characters: int) -> tuple[list[int], int]:
        """Takes the ids within the first `characters` that end in a whole character; with them, their characters."""
        count, shown, length = 0, 0, 0
        for number, item in enumerate(self._pending, 1):
            length += len(item.text)
            if length > characters:
                break
            if item.is_whole:
                count, shown = number, length
        ids = [item.index for item in self._pending[:count]]
        self._pending = self._pending[count:]
        return ids, shown


@dataclass(frozen=True)
class _Pending:
    """An id held back, the text it completed, and whether no character was left unfinished after it."""

    index: int
    text: str
    is_whole: bool


def before_stop(ids: Iterator[int], watch: StopStrings) -> Iterator[int]:
    """The ids before the first stop string that `watch` finds in them."""
    for index in ids:
        ready, stopped = watch.push(index)
        yield from ready
        if stopped:
            return
    yield from watch.finish()


def ends_of_text(tokenizer: Tokenizer, named: Iterable[int | None]) -> list[int]:
    """The ids that end a text: those `named`, and the ends of an assistant's turn in the chat template."""
    try:
        turns = chat_stop_ids(tokenizer)
    # A template that cannot be rendered keeps a model from chatting, not from continuing text.
    except UserError:
        turns = []
    return sorted({index for index in (*named, *turns) if index is not None})
