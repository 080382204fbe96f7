"""One document at a time: normal form, characters that are no text, personal identifiers, and whether it is worth
reading.

The rules are few and mild: they take out what is broken or empty, not what is informal.
"""

from __future__ import annotations

import re
import unicodedata

from dotori.config import settings
from dotori.errors import UserError
from dotori.tokenizer.language import hangul_share

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_CONTROL_BYTES = bytes([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_NEWLINES = re.compile(r"\r\n?")
_BLANK_LINES = re.compile(r"\n{4,}")
_NO_LETTERS = re.compile(r"[\W\d_]+")
RUN = 100

# A Korean resident or foreigner registration number: birth date, then a first digit of 1 to 8.
_RESIDENT = re.compile(r"(?<!\d)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\s?-\s?[1-8]\d{6}(?!\d)")
_PHONE = re.compile(r"(?<![\d.-])(?:\+82[-\s]?|0)(?:1[016789]|2|[3-6]\d|70)[-.\s)]{1,2}\d{3,4}[-.\s]\d{4}(?![\d-])")
_MOBILE = re.compile(r"(?<!\d)01[016789]\d{7,8}(?!\d)")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PERSONAL = ((_RESIDENT, "<주민번호>"), (_MAIL, "<이메일>"), (_PHONE, "<전화번호>"), (_MOBILE, "<전화번호>"))


@settings
class CleanSettings:
    """What a document must have to stay. Lengths in characters; shares of all characters.

    `min_hangul` holds for domains whose `lang` is ko and drops text that is mostly of another language.
    """

    min_characters: int = 20
    max_characters: int = 5_000_000
    min_letters: float = 0.3
    min_hangul: float = 0.1
    mask_personal: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_characters <= self.max_characters:
            raise UserError(
                f"min_characters: {self.min_characters}; it must lie in 0..max_characters ({self.max_characters})"
            )
        for name in ("min_letters", "min_hangul"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name}: {getattr(self, name)}; a share from 0 to 1 is needed; correct it")


def normalize(text: str) -> str:
    """NFC, newlines as \\n, control characters and byte-order marks out, at most three line breaks in a row."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if "\r" in text:
        text = _NEWLINES.sub("\n", text)
    if _has_control(text):
        text = _CONTROL.sub("", text)
    if "\n\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n\n", text)
    return text.strip()


def _has_control(text: str) -> bool:
    """Whether `_CONTROL` would find something, some twenty times as fast."""
    raw = text.encode("utf-8", errors="replace")
    return len(raw.translate(None, _CONTROL_BYTES)) != len(raw) or any(mark in text for mark in "\ufeff\ufffe\uffff")


def mask_personal(text: str) -> tuple[str, int]:
    """Resident numbers, mail addresses and Korean phone numbers replaced by a label, and how many there were."""
    count = 0
    for pattern, label in PERSONAL:
        text, found = pattern.subn(label, text)
        count += found
    return text, count


def why_drop(text: str, language: str | None, s: CleanSettings) -> str | None:
    """The reason to drop a normalised text, None to keep it. `language` is what its domain declares, if anything."""
    if len(text) < s.min_characters:
        return "too short"
    if len(text) > s.max_characters:
        return "too long"
    # A sample is as good as the whole for shares, and keeps a long book cheap.
    sample = text if len(text) <= 2_000 else text[:1_000] + text[-1_000:]
    if len(_NO_LETTERS.sub("", sample)) < s.min_letters * len(sample):
        return "few letters"
    if language == "ko" and hangul_share(sample) < s.min_hangul:
        return "not Korean"
    return "long run of one character" if _has_run(text) else None


def _has_run(text: str) -> bool:
    """Whether one character stands RUN times in a row: then two neighbours of every RUN/2-th and all between agree."""
    half = RUN // 2
    for at in range(0, len(text) - half, half):
        if text[at] == text[at + half] and text[at : at + half] == text[at] * half:
            start, end = at, at
            while start > 0 and text[start - 1] == text[at]:
                start -= 1
            while end < len(text) and text[end] == text[at]:
                end += 1
            if end - start >= RUN:
                return True
    return False
