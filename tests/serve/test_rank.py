"""Ranking, by itself and through the server."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotori.serve.rank import Index, best_first, bm25_scores, fused, terms

ACORNS = [
    "다람쥐는 가을에 도토리를 숲에 묻어 둡니다.",
    "사과는 나무에서 익으면 빨갛게 변합니다.",
    "서울의 겨울은 춥고 눈이 자주 내립니다.",
    "The squirrel buries acorns in the autumn forest.",
    "GPU가 없어도 노트북에서 모델이 돌아갑니다.",
]


def test_hangul_is_cut_into_pairs_and_words_are_not():
    assert terms("도토리가 좋아!") == ["도토", "토리", "리가", "좋아"]
    assert terms("큰 GPU가 24GB") == ["큰", "gpu", "가", "24gb"]
    assert terms("Don't stop") == ["don", "t", "stop"]
    assert terms("도토리가 GPU", pairs=False) == ["도토리가", "gpu"]
    assert terms("\u1103\u1169\u1110\u1169\u1105\u1175") == ["도토", "토리"]
    assert terms("東京タワー") == ["東京", "京タ", "タワ", "ワー"]
    assert terms("!? 🌰") == []


@pytest.mark.parametrize(
    ("query", "best"),
    [("도토리가 어디 있나요?", 0), ("겨울에 눈이 오나요", 2), ("where are the ACORNS", 3), ("gpu 없이 되나요", 4)],
)
def test_the_right_passage_comes_first(query, best):
    assert best_first(bm25_scores(query, ACORNS))[0] == best


def test_particles_hide_a_word_from_whole_words_only():
    query, documents = "도토리의 맛", ["도토리는 떫다", "맛있는 사과"]
    assert not Index(documents, pairs=False).scores(query).any()
    assert best_first(Index(documents).scores(query))[0] == 0


@given(st.text(max_size=60), st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_any_text_has_scores(query, documents):
    scores = bm25_scores(query, documents)
    assert scores.shape == (len(documents),)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


def test_fusion_joins_two_rankings():
    scores = fused(np.array([3.0, 2.0, 1.0]), np.array([1.0, 3.0, 2.0]))
    assert list(best_first(scores)) == [1, 0, 2]


def test_rerank(server):
    with server.http() as client:
        asked = {"model": "acorn", "query": "도토리는 어디에?", "documents": ACORNS}
        plain = client.post("/v1/rerank", json=asked).json()
        assert plain["results"][0]["index"] == 0
        values = [row["relevance_score"] for row in plain["results"]]
        assert values == sorted(values, reverse=True)
        joined = client.post("/v1/rerank", json=asked | {"embeddings": True, "top_n": 2}).json()
        assert len(joined["results"]) == 2
        assert joined["usage"]["prompt_tokens"] > 0
        shaped = [{"text": text} for text in ACORNS]
        told = client.post("/v1/rerank", json=asked | {"documents": shaped, "return_documents": True}).json()
        assert told["results"][0]["document"]["text"] == ACORNS[0]
        nameless = {key: value for key, value in asked.items() if key != "model"}
        assert client.post("/v1/rerank", json=nameless).json()["results"] == plain["results"]
        long = asked | {"documents": ["도토리 " * 8000, "x"], "embeddings": True}
        assert client.post("/v1/rerank", json=long).status_code == 200
