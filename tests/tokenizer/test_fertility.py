import pytest

from dotori.tokenizer.fertility import fertility, fertility_json, hangul_syllables, proof_texts
from dotori.tokenizer.language import hangul_share, language_of
from dotori.tokenizer.load import Tokenizer


def test_fertility_counts(tokenizer: Tokenizer):
    report = fertility(tokenizer, {"ko": ["다람쥐가 도토리를"], "en": ["a small nut", "the forest"], "fr": []})
    assert set(report) == {"ko", "en"}
    tokens = len(tokenizer.encode("다람쥐가 도토리를"))
    assert report["ko"].bytes == 25
    assert report["ko"].tokens == tokens
    assert report["ko"].bytes_per_token == pytest.approx(25 / tokens)
    assert report["ko"].tokens_per_word == pytest.approx(tokens / 2)
    assert fertility_json(report)["en"]["documents"] == 2


def test_the_proof_set_is_complete():
    assert len(hangul_syllables()) == 11_172
    assert set(hangul_syllables()) <= set(proof_texts())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("안녕하세요", "ko"),
        ("hello", "en"),
        ("", "en"),
        ("123 !?", "en"),
        ("ㅋㅋ ok", "ko"),
        ("가 abcdefg", "en"),
        ("日本", "en"),
    ],
)
def test_language_rule(text: str, language: str):
    assert language_of(text) == language


def test_the_rule_is_a_strict_share_of_letters():
    assert hangul_share("가나다 abcdefg 123") == pytest.approx(0.3)
    assert language_of("가나다 abcdefg 123") == "en"
    assert language_of("가나다라 abcdefg 123") == "ko"
