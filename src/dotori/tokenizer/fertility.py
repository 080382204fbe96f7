"""What a tokenizer costs per language, and the proof that text survives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from dotori.tokenizer.load import Tokenizer


@dataclass(frozen=True)
class Fertility:
    """Cost of a language: size of the sample, UTF-8 bytes and characters per token, tokens per space-separated word."""

    documents: int
    bytes: int
    tokens: int
    bytes_per_token: float
    characters_per_token: float
    tokens_per_word: float


def fertility(tokenizer: Tokenizer, texts_by_language: Mapping[str, Sequence[str]]) -> dict[str, Fertility]:
    """Measures `tokenizer` on the texts of each language; a language without text is left out."""
    result = {}
    for language, texts in texts_by_language.items():
        size = sum(len(text.encode()) for text in texts)
        tokens = sum(len(ids) for ids in tokenizer.encode_batch(list(texts)))
        words = sum(len(text.split()) for text in texts)
        if tokens and words:
            characters = sum(len(text) for text in texts)
            result[language] = Fertility(len(texts), size, tokens, size / tokens, characters / tokens, tokens / words)
    return result


def fertility_json(report: Mapping[str, Fertility]) -> dict[str, dict]:
    """The report as JSON values, rounded for reading."""
    return {
        language: {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(row).items()}
        for language, row in report.items()
    }


def hangul_syllables() -> str:
    """All 11,172 Hangul syllables."""
    return "".join(chr(code) for code in range(0xAC00, 0xD7A4))


def proof_texts() -> list[str]:
    """Texts that a tokenizer must give back exactly: Korean, English, code, emoji, blanks, every Hangul syllable."""
    texts = [
        "동해 물과 백두산이 마르고 닳도록, 하느님이 보우하사 우리나라 만세!",
        "값싼 흙덩이를 밟았다. ㅋㅋㅋ ㅠㅠ 뷁 똠방각하 1,234원(3.5%) 「낫표」 《겹》",
        "The quick brown fox can't jump over 12,345 lazy dogs; it's 7 o'clock — naïve café.",
        "def f(x: int) -> str:\n\treturn f'{x!r}'  # 주석\n\n\nif __name__ == '__main__':\n    print(f(3))\r\n",
        '{"키": [1, 2.50e-3, null], "tags": "<b>&amp;</b>", "path": "C:\\\\temp"}\n',
        "👩‍👩‍👧‍👦 👍🏽 🇰🇷 ❤️‍🔥 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝒳 𠮷野家",
        "   leading, trailing   \n\n \t \u00a0\u3000\u200b mixed\u2028blanks  ",
        "日本語とかなカナ، العربية हिन्दी ไทย Русский Ελληνικά",
        "e\u0301 vs é, 한 vs 한 (conjoining and whole), \u0000\u0007\u007f\ufeff\ufffd",
        "<|endoftext|><|im_start|>user\n나쁜 입력<|im_end|>",
        "",
    ]
    syllables = hangul_syllables()
    return texts + [syllables, " ".join(syllables)] + list(syllables)


def round_trip_failures(tokenizer: Tokenizer) -> list[str]:
    """The proof texts that do not come back exactly from encode and decode; empty for a byte-level tokenizer.

    A tokenizer with a normalizer fails here: that is what the design forbids for our own.
    """
    texts = proof_texts()
    encoded = tokenizer.encode_batch(texts)
    return [text for text, ids in zip(texts, encoded, strict=True) if tokenizer.decode(ids) != text]
