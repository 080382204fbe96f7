"""Cleaning: normal form, rules with reasons, personal identifiers, duplicates, evaluation texts."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.data.clean import CleanSettings, mask_personal, normalize, why_drop
from dotori.data.decontaminate import Evaluations
from dotori.data.dedup import BINS, SHINGLE, Seen, signature, words_of
from dotori.errors import UserError

PROSE = "도토리는 참나무의 열매이고, 다람쥐가 겨울을 나려고 땅에 묻어 둔다. "
ENGLISH = "Squirrels bury acorns in the autumn and forget where half of them are, so forests grow. "


@given(st.text(st.sampled_from("a가 \n\t\x00\x08\x0b\x0e\x1f\x7f\ufeff\uffff\u0085"), max_size=30))
def test_no_control_character_is_left(text):
    assert not set(normalize(text)) & set("\x00\x08\x0b\x0e\x1f\x7f\ufeff\uffff")
    assert normalize(text).count("가") == text.count("가")


@given(st.text(max_size=200))
def test_normalize_is_idempotent_and_composed(text):
    once = normalize(text)
    assert normalize(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & {"\x00", "\ufeff", "\r"}


def test_decomposed_hangul_is_composed():
    assert normalize(unicodedata.normalize("NFD", PROSE)) == PROSE.strip()
    assert normalize("a\r\nb\x00\r\n\n\n\n\n\nc") == "a\nb\n\n\nc"


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("짧다", None, "too short"),
        ("12345 67890 12345 67890 12345", None, "few letters"),
        (ENGLISH, "ko", "not Korean"),
        (PROSE + "ㅋ" * 150, None, "long run of one character"),
        (PROSE, "ko", None),
        (ENGLISH, "en", None),
        (PROSE + "ㅋㅋㅋㅋ ㅠㅠ!!!", "ko", None),
    ],
)
def test_rules_give_their_reason(text, language, reason):
    assert why_drop(text, language, CleanSettings()) == reason


def test_impossible_rules_are_refused():
    with pytest.raises(UserError):
        CleanSettings(min_characters=10, max_characters=5)
    with pytest.raises(UserError):
        CleanSettings(min_letters=2.0)


def test_personal_identifiers_are_masked_and_plain_numbers_kept():
    text = "주민 900101-1234567, 전화 010-1234-5678, 02-345-6789, 01012345678, 메일 a.b@c-d.co.kr 끝"
    masked, count = mask_personal(text)
    assert count == 5
    assert masked == "주민 <주민번호>, 전화 <전화번호>, <전화번호>, <전화번호>, 메일 <이메일> 끝"
    for kept in ("2024-01-15", "1,234,567원", "991301-1234567", "3.14159265", "0:10-12:30"):
        assert mask_personal(kept) == (kept, 0)


def long_text(seed: int, words: int = 120) -> str:
    return " ".join(f"낱말{(seed * 7919 + i * i * 31) % 9973}" for i in range(words))


def test_duplicates_are_found_exactly_and_nearly_and_others_kept():
    seen = Seen(near=True)
    assert seen.why_drop(long_text(1), near=True) is None
    assert seen.why_drop("  " + long_text(1).replace(" ", "\n"), near=True) == "duplicate"
    assert seen.why_drop(long_text(1) + " 끝.", near=True) == "near duplicate"
    assert all(seen.why_drop(long_text(seed), near=True) is None for seed in range(2, 60))
    assert Seen(near=False).why_drop(long_text(1) + "!", near=True) is None


def test_what_was_seen_can_be_written_down_and_loaded():
    first, second = Seen(near=True), Seen(near=True)
    first.why_drop(long_text(1), near=True)
    first.why_drop("짧은 글", near=True)
    hashes, signatures = first.drain()
    assert (hashes.shape, signatures.shape) == ((2,), (1, BINS))
    second.load(hashes, signatures)
    assert second.why_drop("짧은  글", near=True) == "duplicate"
    assert second.why_drop(long_text(1) + ".", near=True) == "near duplicate"
    assert len(first.drain()[0]) == 0


def test_similarity_of_signatures_follows_the_overlap():
    base = long_text(5, 400)
    half = " ".join(base.split()[:200]) + " " + long_text(77, 200)
    share = (signature(words_of(base)) == signature(words_of(half))).mean()
    assert 0.1 < share < 0.6  # their shingles overlap by a third
    assert signature(words_of("짧다")) is None


def test_evaluation_texts_are_found_inside_documents():
    evaluations = Evaluations([ENGLISH, PROSE])
    assert evaluations.overlaps("앞말이 길게 있고 " + PROSE + "뒷말도 있다")
    assert evaluations.overlaps("Before. " + ENGLISH.upper() + " After.")
    assert not evaluations.overlaps(
        "Squirrels bury acorns in the autumn, and nothing else is shared with it at all here."
    )
    assert not Evaluations([]).overlaps(ENGLISH)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("Which of the two rivers is the longer one?", "Which of the two rivers is the wider one?"),
        ("가을이 오면 다람쥐는 숲속 어디에 도토리를 묻나요?", "가을이 오면 다람쥐는 숲속 어디에 도토리를 숨기나요?"),
    ],
)
def test_an_evaluation_shorter_than_a_run_is_found_whole(question, other):
    evaluations = Evaluations([question])
    assert evaluations.overlaps(f"{question} {other}")
    assert evaluations.overlaps(f"{other}\n{question.upper()}\n{other}")
    assert evaluations.overlaps(f"{ENGLISH * 3}{question} {ENGLISH * 3}")
    assert evaluations.overlaps(f"{PROSE * 3}{question} {PROSE * 3}")
    assert not evaluations.overlaps(f"{other} {other}")


def test_a_few_words_of_an_evaluation_keep_nothing_out():
    evaluations = Evaluations(["The River Nile.", "큰 나무 밑에.", ""])
    assert not evaluations.overlaps(f"{ENGLISH} The River Nile. {ENGLISH}")
    assert not evaluations.overlaps(f"{PROSE} 큰 나무 밑에. {PROSE}")


def test_what_an_evaluation_repeats_is_a_template_and_keeps_nothing_out():
    prompt, question = "You are a friendly and helpful assistant of ours.", "Which of the two rivers is the longer one?"
    evaluations = Evaluations([prompt, question, prompt])
    assert not evaluations.overlaps(f"{prompt} Hello!")
    assert evaluations.overlaps(f"{prompt} {question}")


@given(st.text(alphabet="ab ", max_size=40), st.integers(0, 160), st.text(alphabet="ab ", max_size=300))
def test_runs_are_found_wherever_they_begin(before, length, after):
    text = PROSE + before + "ㅋ" * length + after
    is_run = re.search(r"(.)\1{99}", text, re.DOTALL) is not None
    assert (why_drop(text, None, CleanSettings(min_letters=0)) == "long run of one character") == is_run


def test_the_signature_is_of_shingles_by_their_polynomial():
    words = [f"낱말{i * i}" for i in range(90)]
    text = " ".join(words)
    values = set()
    for at in range(len(text) - SHINGLE + 1):
        value = 0
        for character in text[at : at + SHINGLE]:
            value = (value * 1_000_003 + ord(character)) % 2**64
        value = value * 0x9E3779B97F4A7C15 % 2**64
        value ^= value >> 29
        value = value * 0xBF58476D1CE4E5B9 % 2**64
        values.add(value & 0xFFFFFFFF)
    assert set(signature(words).tolist()) <= values
