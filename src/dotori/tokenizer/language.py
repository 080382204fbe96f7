"""The language of a text: the one rule that data, tokenizer reports and evaluations share."""

from __future__ import annotations

import re

# Syllables, conjoining and compatibility jamo.
_NO_HANGUL = re.compile("[^가-힣ᄀ-ᇿ㄰-㆏]+")
_NO_LETTERS = re.compile(r"[\W\d_]+")


def hangul_share(text: str) -> float:
    """The share of letters that are Hangul, 0 for a text without letters."""
    letters = len(_NO_LETTERS.sub("", text))
    return len(_NO_HANGUL.sub("", text)) / letters if letters else 0.0


def language_of(text: str) -> str:
    """ "ko" when more than 30 % of the letters are Hangul, else "en"."""
    return "ko" if hangul_share(text) > 0.3 else "en"
