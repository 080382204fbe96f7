"""Text out of ids one at a time, never a broken character."""

from __future__ import annotations

import codecs

from dotori.tokenizer.load import Tokenizer


class StreamDecoder:
    """Gives the text of pushed ids as soon as its characters are whole.

    All `push` results and the `finish` result joined equal `tokenizer.decode` of the ids. Bytes that cannot begin or
    continue a character become U+FFFD when that is certain; an unfinished character becomes U+FFFD at `finish`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._strip = tokenizer.strips_first_space

    def push(self, index: int) -> str:
        """The text that token `index` completes, often empty in the middle of a character. Raises UserError."""
        return self._first(self._decoder.decode(self._tokenizer.token_bytes(index)))

    @property
    def is_whole(self) -> bool:
        """Whether no character is unfinished."""
        return not self._decoder.getstate()[0]

    def finish(self) -> str:
        """U+FFFD for a character that never ended, else nothing; the decoder starts anew."""
        text = self._first(self._decoder.decode(b"", final=True))
        self._decoder.reset()
        self._strip = self._tokenizer.strips_first_space
        return text

    def _first(self, text: str) -> str:
        if text and self._strip:
            self._strip = False
            return text.removeprefix(" ")
        return text
