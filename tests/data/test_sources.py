"""Sources: every kind of file, every kind of damage, one clear outcome each."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from dotori.data.sources import LINE_BYTES, find_files, read_records, read_strings
from dotori.errors import UserError

ROWS = [{"text": "도토리 한 톨"}, {"text": "an acorn"}]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def read(path, field="text"):
    rejected = []
    records = list(read_records(path, field, lambda reason, place: rejected.append(reason)))
    return [record.text for record in records], rejected


def write(path, data: bytes):
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)(data)
    path.write_bytes(packed)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_json_lines_in_every_wrapping(tmp_path, ending):
    assert read(write(tmp_path / f"a{ending}", JSONL)) == (["도토리 한 톨", "an acorn"], [])


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".txt.zst"])
def test_plain_text_is_one_document_a_file(tmp_path, ending):
    assert read(write(tmp_path / f"a{ending}", "하나\n\n둘\n".encode())) == (["하나\n\n둘\n"], [])


def test_a_long_text_is_cut_at_blank_lines_and_nothing_is_lost(tmp_path):
    text = "".join(f"문단 {i} " + "가" * 300 + "\n\n" for i in range(900))
    parts, _ = read(write(tmp_path / "a.txt", text.encode()))
    assert len(parts) > 2
    assert "".join(parts) == text


def test_parquet_reads_like_json_lines(tmp_path):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0] == ["도토리 한 톨", "an acorn"]


def test_conversations_in_three_spellings(tmp_path):
    rows = [
        {"instruction": "더해라", "input": "1, 2", "output": "3"},
        {"prompt": "hi", "response": "hello"},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    ]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    records = list(read_records(path, "text", lambda reason, place: None))
    assert [record.messages[0]["content"] for record in records] == ["더해라\n1, 2", "hi", "a"]
    assert [record.messages[-1]["content"] for record in records] == ["3", "hello", "b"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff\xfe"}', "broken UTF-8"),
        (b'{"text": "\\ud800"}', "broken UTF-8"),
        (b'{"text": ', "broken JSON"),
        (b"[" * 100_000, "broken JSON"),
        (b'["text"]', "not an object"),
        (b'{"other": "x"}', "no field 'text'"),
        (b'{"text": 3}', "no field 'text'"),
        (b'{"messages": [{"role": 1}]}', "no field 'text'"),
    ],
)
def test_broken_records_are_rejected_with_a_reason_and_the_rest_is_read(tmp_path, line, reason):
    path = write(tmp_path / "a.jsonl", JSONL + line + b"\n" + JSONL)
    texts, rejected = read(path)
    assert len(texts) == 4
    assert rejected == [reason]


def test_marks_blank_lines_and_a_missing_last_newline_are_no_problem(tmp_path):
    path = write(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + JSONL.replace(b"\n", b"\r\n\r\n").rstrip())
    assert read(path) == (["도토리 한 톨", "an acorn"], [])


def test_a_line_too_long_is_skipped_not_held(tmp_path):
    path = tmp_path / "a.jsonl"
    with open(path, "wb") as file:
        file.write(JSONL + b'{"text": "')
        for _ in range(3):
            file.write(b"x" * LINE_BYTES)
        file.write(b'"}\n' + JSONL)
    texts, rejected = read(path)
    assert len(texts) == 4
    assert rejected == ["line too long"]


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_truncated_archive_is_an_error_that_names_it(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", JSONL * 500)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"a\.jsonl.*truncated"):
        read(path)


def test_archives_in_several_parts_are_read_whole(tmp_path):
    for ending, pack in ((".jsonl.gz", gzip.compress), (".jsonl.zst", zstandard.ZstdCompressor().compress)):
        path = tmp_path / f"a{ending}"
        path.write_bytes(pack(JSONL) + pack(JSONL))
        assert len(read(path)[0]) == 4


def test_damaged_files_of_each_kind(tmp_path):
    for name in ("a.parquet", "a.jsonl.gz", "a.jsonl.zst"):
        (tmp_path / name).write_bytes(b"not that at all")
        with pytest.raises(UserError, match=name):
            read(tmp_path / name)


def test_empty_files_have_no_records(tmp_path):
    for name in ("a.txt", "a.jsonl"):
        (tmp_path / name).write_bytes(b"")
        assert read(tmp_path / name) == ([], [])


def test_paths_folders_and_globs(tmp_path):
    for name in ("b/x.jsonl", "b/y.txt", "b/z.md", "c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(JSONL)
    found = find_files((str(tmp_path / "b"), str(tmp_path / "*.jsonl"), str(tmp_path / "b/x.jsonl")))
    assert [path.name for path in found] == ["x.jsonl", "y.txt", "c.jsonl"]
    for wrong in ("none.jsonl", "b/*.parquet", "b/z.md"):
        with pytest.raises(UserError):
            find_files((str(tmp_path / wrong),))


def test_every_string_of_an_evaluation_file(tmp_path):
    path = write(tmp_path / "e.jsonl", b'{"q": "a b", "choices": ["c", {"d": "e"}], "n": 3}\n')
    assert list(read_strings(path)) == ["a b", "c", "e"]
    with pytest.raises(UserError):
        list(read_strings(write(tmp_path / "bad.jsonl", b"{")))
