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
_NEWLINES = re.compile(r"\r\n?")
_BLANK_LINES = re.compile(r"\n{4,}")
_LETTER = re.compile(r"[^\W\d_]")
_LONG_RUN = re.compile(r"(.)\1{99,}", re.DOTALL)

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
    text = _CONTROL.sub("", text)
    return _BLANK_LINES.sub("\n\n\n", text).strip()


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
    sample = text if len(text) <= 20_000 else text[:10_000] + text[-10_000:]
    if len(_LETTER.findall(sample)) < s.min_letters * len(sample):
        return "few letters"
    if language == "ko" and hangul_share(sample) < s.min_hangul:
        return "not Korean"
    return "long run of one character" if _LONG_RUN.search(sample) else None
