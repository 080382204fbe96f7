import json
import subprocess
import sys
from pathlib import Path

import pytest

from dotori.errors import UserError
from dotori.runlog import RunLog
from dotori.tokenizer.fertility import proof_texts, round_trip_failures
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.train_bpe import TokenizerSettings, train_bpe, train_tokenizer

TEXTS = [f"다람쥐 {n}마리가 도토리를 숨깁니다. Squirrel {n} hides acorns, {n * 7} of them!" for n in range(120)]


def test_same_text_same_file_in_another_process(tmp_path: Path):
    train_bpe(TEXTS, 500, tmp_path / "here")
    program = (
        "import sys; from pathlib import Path; from dotori.tokenizer.train_bpe import train_bpe\n"
        "line = '다람쥐 {n}마리가 도토리를 숨깁니다. Squirrel {n} hides acorns, {m} of them!'\n"
        "texts = [line.format(n=n, m=n * 7) for n in range(120)]\n"
        "train_bpe(iter(texts), 500, Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "there")], check=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_ids_special_tokens_and_all_bytes(tmp_path: Path):
    train_bpe(TEXTS, 300, tmp_path / "t")
    tokenizer = load_tokenizer(tmp_path / "t")
    assert tokenizer.vocab_size == 300
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 2, 0)
    assert tokenizer.special == {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
    assert {tokenizer.token_bytes(index) for index in range(3, 259)} == {bytes([byte]) for byte in range(256)}
    assert round_trip_failures(tokenizer) == []


def test_transformers_gives_the_same_ids(tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    train_bpe(TEXTS, 500, tmp_path / "t")
    ours, theirs = load_tokenizer(tmp_path / "t"), transformers.AutoTokenizer.from_pretrained(tmp_path / "t")
    for text in proof_texts():
        if "<|" not in text:
            assert theirs.encode(text, add_special_tokens=False) == ours.encode(text)
            assert theirs.encode(text) == [0, *ours.encode(text)]
            assert theirs.decode(ours.encode(text)) == text
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (0, 2, 0)


def test_stage_writes_fertility_and_stops_at_max_bytes(tmp_path: Path):
    settings = TokenizerSettings(vocab_size=400, max_bytes=5000)
    train_tokenizer(settings, iter(TEXTS), tmp_path / "t", RunLog(quiet=True))
    report = json.loads((tmp_path / "t" / "fertility.json").read_text())
    assert report["hash"] == load_tokenizer(tmp_path / "t").hash
    assert 5000 <= report["bytes"] < 5200
    assert report["proofs"][0]["passed"]
    assert report["languages"]["ko"]["bytes_per_token"] > 1


@pytest.mark.parametrize("size", [-1, 0, 258, 261, 1 << 21])
def test_impossible_sizes_are_refused(tmp_path: Path, size: int):
    with pytest.raises(UserError, match="vocab_size"):
        train_bpe(TEXTS, size, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_no_text_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no text"):
        train_bpe(iter(["", ""]), 400, tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_source_comes_through(tmp_path: Path):
    def broken():
        yield TEXTS[0]
        raise UserError("source: broken")

    with pytest.raises(UserError, match="source: broken"):
        train_bpe(broken(), 400, tmp_path / "t")


def test_one_endless_line_and_little_text(tmp_path: Path):
    train_bpe(["가나다라" * 100_000], 400, tmp_path / "t")
    assert round_trip_failures(load_tokenizer(tmp_path / "t")) == []
    train_bpe(["a"], 400, tmp_path / "u")
    assert load_tokenizer(tmp_path / "u").vocab_size == 259
