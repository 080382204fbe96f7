import gzip
import json
import unicodedata
from math import log, log2
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.evaluate.bpb import Document, document, evaluate_bpb, score_documents, windows
from dotori.runlog import RunLog


class ByteScorer:
    """A model of bytes that gives byte b the probability `table[b]`, whatever came before; 256 is BOS."""

    def __init__(self, table: np.ndarray, context: int, bos_id: int | None = 256, eos_id: int | None = None) -> None:
        self.table, self.context, self.bos_id, self.eos_id = table, context, bos_id, eos_id
        self.seen: list[tuple[list[int], int]] = []

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def detokenize(self, ids: list[int]) -> str:
        return bytes(index for index in ids if index < 256).decode(errors="replace")

    def loglikelihood(self, sequences: list[list[int]], starts: list[int]) -> list[float]:
        self.seen += zip(sequences, starts, strict=True)
        return [float(np.log(self.table[ids[start:]]).sum()) for ids, start in zip(sequences, starts, strict=True)]

    def generate_batch(self, prompts: list[list[int]], max_tokens: int, stop_ids: list[int]) -> list[list[int]]:
        return [[] for _ in prompts]


def _score(scorer: ByteScorer, documents: list[Document]) -> dict:
    return score_documents(scorer, iter(documents), RunLog(quiet=True))


@given(st.integers(2, 300), st.integers(2, 40))
def test_windows_score_every_token_once(length: int, context: int):
    scored = []
    for ids, start in windows(list(range(length)), context):
        assert len(ids) <= context
        assert start >= 1
        assert ids[0] == 0 or start == context - context // 2
        scored += ids[start:]
    assert scored == list(range(1, length))


def test_a_uniform_model_costs_eight_bits_whatever_the_windows():
    texts = ["도토리 " * 30, "acorn", "squirrel " * 100]
    scorer = ByteScorer(np.full(256, 1 / 256), context=16)
    report = _score(scorer, [document("a.txt", text, None) for text in texts])
    row = report["files"][0]
    assert row["bits_per_byte"] == pytest.approx(8)
    assert row["bytes"] == sum(len(text.encode()) for text in texts)
    assert (row["path"], row["lang"], row["documents"]) == ("a.txt", "en", 3)
    assert row["ci95"] == pytest.approx([8, 8])
    assert set(report["languages"]) == {"ko", "en"} == set(row["languages"])
    assert report["languages"]["ko"]["bytes"] == 300
    assert all(ids[0] == 256 for ids, start in scorer.seen if start == 1)


def test_bits_are_those_of_the_model_and_bytes_those_of_the_raw_text():
    table = np.linspace(1, 3, 256)
    table /= table.sum()
    text = unicodedata.normalize("NFD", "한글 cafe\u0301")
    whole = unicodedata.normalize("NFC", text)
    report = _score(ByteScorer(table, context=8), [document("a", text, "ko")])
    bits = -sum(log2(table[byte]) for byte in whole.encode())
    assert report["files"][0]["bytes"] == len(text.encode()) > len(whole.encode())
    assert report["files"][0]["bits_per_byte"] == pytest.approx(bits / len(text.encode()), abs=1e-5)
    assert report["files"][0]["ci95"] is None


def test_baselines_by_hand():
    report = _score(ByteScorer(np.full(256, 1 / 256), 64), [document("a", "aab", "en"), document("a", "ab", "en")])
    baselines = report["files"][0]["baselines"]
    assert baselines["byte_unigram"] == pytest.approx((3 * log2(5 / 3) + 2 * log2(5 / 2)) / 5, abs=1e-5)
    # Read in order with the prior of 0.05: start->a, a->a, a->b, then start->a, a->b.
    chances = [0.05 / 12.8, 0.05 / 12.8, 0.05 / 13.8, 1.05 / 13.8, 1.05 / 14.8]
    assert baselines["byte_bigram"] == pytest.approx(-sum(log(p) for p in chances) / log(2) / 5, abs=1e-5)


def test_eos_begins_a_document_where_there_is_no_bos_and_nothing_is_an_error():
    scorer = ByteScorer(np.full(257, 1 / 257), 64, bos_id=None, eos_id=7)
    _score(scorer, [document("a", "x", "en")])
    assert scorer.seen[0][0] == [7, ord("x")]
    with pytest.raises(UserError, match="neither BOS nor EOS"):
        _score(ByteScorer(np.full(256, 1 / 256), 64, bos_id=None), [document("a", "x", "en")])


def test_empty_documents_are_counted_and_no_text_is_an_error():
    scorer = ByteScorer(np.full(256, 1 / 256), 64)
    assert _score(scorer, [document("a", "", None), document("a", "x", None)])["empty_documents"] == 1
    with pytest.raises(UserError, match="no text came in"):
        _score(scorer, [document("a", "", None)])


def test_files_stay_apart_and_languages_add_up():
    scorer = ByteScorer(np.full(256, 1 / 256), 64)
    report = _score(scorer, [document("a", "도토리", None), document("b", "acorn", None), document("b", "나무", "ko")])
    assert [(row["path"], row["lang"], row["documents"]) for row in report["files"]] == [("a", "ko", 1), ("b", "ko", 2)]
    assert report["languages"]["ko"]["documents"] == 2
    assert report["files"][1]["languages"]["en"]["bytes"] == 5


def _rows(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def test_files_of_every_kind(tmp_path: Path):
    rows = _rows({"text": "도토리"}, {"body": "acorn"}, {"messages": [{"role": "user", "content": "a"}]}, {"text": "x"})
    (tmp_path / "a.jsonl").write_bytes(rows + b"{broken\n\xff\xfe\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(rows))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(rows))
    (tmp_path / "d.txt").write_text("나무 한 그루", encoding="utf-8-sig")
    scorer, log = ByteScorer(np.full(256, 1 / 256), 64), RunLog(quiet=True)
    report = evaluate_bpb(scorer, [str(tmp_path)], "text", None, log)
    assert [Path(row["path"]).name for row in report["files"]] == ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.txt"]
    assert [row["bytes"] for row in report["files"]] == [10, 10, 10, 17]
    assert [row["lang"] for row in report["files"]] == ["ko"] * 4
    assert report["rejected"] == {"no field 'text'": 6, "broken JSON": 1, "broken UTF-8": 1}
    body = evaluate_bpb(scorer, [str(tmp_path / "a.jsonl")], "body", "ko", log)
    assert (body["files"][0]["bytes"], body["files"][0]["lang"]) == (5, "ko")


def test_files_that_cannot_be_scored_are_named(tmp_path: Path):
    scorer, log = ByteScorer(np.full(256, 1 / 256), 64), RunLog(quiet=True)
    whole = gzip.compress(b"a" * 9999)
    (tmp_path / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "a.pdf").write_bytes(b"x")
    for name, message in [("cut.txt.gz", "truncated"), ("empty.txt", "no text came in"), ("a.pdf", "unknown ending")]:
        with pytest.raises(UserError, match=message):
            evaluate_bpb(scorer, [str(tmp_path / name)], "text", None, log)
    with pytest.raises(UserError, match="no file"):
        evaluate_bpb(scorer, [str(tmp_path / "none.txt")], "text", None, log)
    with pytest.raises(UserError, match="lang: 'fr'"):
        evaluate_bpb(scorer, [str(tmp_path / "empty.txt")], "text", "fr", log)
