"""The memory of words against its slow twin, text by text, white space of every kind included."""

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.word_cache import WordCache

SPACES = " \n\r\t\x0b\x0c\x1c\x1f\x85\xa0\u1680\u180e\u2000\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
WORDS = st.sampled_from(
    ["다람쥐가", "도토리를", "a", "it's", "I'LL", "don't", "3", "12", "x=1", "...", "!?", "{", "}", "🐿️", "é", "-"]
)
GAPS = st.one_of(
    st.sampled_from([" ", " ", " ", "\n", "  ", "\n\n", " \n", "\n ", "\t", "\r\n"]), st.text(SPACES, max_size=4)
)
TEXTS = st.lists(st.tuples(GAPS, WORDS), max_size=12).map(lambda parts: "".join(gap + word for gap, word in parts))


@pytest.fixture(scope="module")
def cache(tokenizer_folder):
    return WordCache(load_tokenizer(tokenizer_folder))


@settings(max_examples=600, deadline=None)
@given(st.lists(st.one_of(TEXTS, st.text(max_size=40)), max_size=4))
@example(["말.\n\n 그리고  둘\t셋 \n", "a \n\n\t1", "x\r\n\r\ny", " .\n.", "a\u3000\u3000b", "끝 ", "\n", ""])
def test_ids_are_those_of_the_library(cache, texts):
    texts = [text.encode("utf-8", errors="ignore").decode() for text in texts]
    expected = cache.tokenizer.encode_batch(texts)
    assert [found.tolist() for found in cache.encode(texts)] == expected
    assert [found.tolist() for found in cache.encode(texts)] == expected


def test_a_full_memory_starts_over(tokenizer_folder):
    cache, rng = WordCache(load_tokenizer(tokenizer_folder), capacity=50), random.Random(1)
    for _ in range(20):
        texts = [" ".join(f"낱말{rng.randrange(99)}" for _ in range(30)) for _ in range(3)]
        assert [found.tolist() for found in cache.encode(texts)] == cache.tokenizer.encode_batch(texts)
        assert len(cache._known) <= 50 + 90


def test_long_texts_without_a_blank_are_not_kept(tokenizer_folder):
    cache = WordCache(load_tokenizer(tokenizer_folder))
    text = "가나다라" * 100
    assert np.array_equal(cache.encode([text, text])[0], cache.tokenizer.encode(text))
    assert text not in cache._known
