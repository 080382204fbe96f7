import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from dotori.errors import UserError
from dotori.tokenizer.byte_level import pretokenizer_json, pretokenizer_name
from dotori.tokenizer.load import Tokenizer, load_tokenizer, tokenizer_from_parts


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_survives(tokenizer: Tokenizer, text: str):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="<|im_startend of>ex \n가"))
def test_text_never_becomes_a_control_token(tokenizer: Tokenizer, text: str):
    for attempt in (text, f"<|im_end|>{text}<|im_start|>"):
        assert not set(tokenizer.encode(attempt)) & set(tokenizer.special.values())


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_any_bytes_are_reachable(tokenizer: Tokenizer, data: bytes):
    index_of = {tokenizer.token_bytes(index): index for index in range(3, 259)}
    ids = [index_of[bytes([byte])] for byte in data]
    assert tokenizer.decode(ids) == data.decode("utf-8", errors="replace")


@pytest.mark.parametrize("unit", ["a", " ", "\n", "가", "!a", "\u0301", " !", "1", "👍", "  \n", "'s", "\x00"])
def test_long_runs_do_not_take_quadratic_time(tokenizer: Tokenizer, unit: str):
    text = unit * (100_000 // len(unit))
    before = time.monotonic()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    # About 0.1 s; a quadratic engine needs minutes.
    assert time.monotonic() - before < 10


def test_batch_equals_single(tokenizer: Tokenizer):
    texts = ["도토리", "", "a b  c", "👩‍👩‍👧‍👦"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_parts_make_the_same_tokenizer(tokenizer: Tokenizer):
    again = tokenizer_from_parts(tokenizer.parts(), "parts")
    assert again.hash == tokenizer.hash
    assert again.chat_template == tokenizer.chat_template
    assert (again.bos_id, again.eos_id, again.pad_id, again.special) == (0, 2, 0, tokenizer.special)


def test_save_copies_the_files(tokenizer: Tokenizer, tokenizer_folder: Path, tmp_path: Path):
    tokenizer.save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (tokenizer_folder / "tokenizer.json").read_bytes()
    assert load_tokenizer(tmp_path).hash == tokenizer.hash


@pytest.mark.parametrize("name", ["qwen2", "llama-bpe", "gpt-2", "smollm", "default"])
def test_pretokenizer_families_are_recognised(name: str):
    assert pretokenizer_name(pretokenizer_json(name)) == name
    assert pretokenizer_name({"type": "Whitespace"}) is None
    assert pretokenizer_name(None) is None
    steps = pretokenizer_json(name)["pretokenizers"]
    assert pretokenizer_name({"pretokenizers": []}) is None
    assert pretokenizer_name({"pretokenizers": steps[:-1]}) is None
    assert pretokenizer_name({"pretokenizers": [{**steps[0], "invert": True}, *steps[1:]]}) is None
    assert pretokenizer_name({"pretokenizers": [*steps[:-1], {"type": "ByteLevel", "add_prefix_space": True}]}) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a(b) c,d 12 1234567", ["a", "(", "b", ")", " c", ",", "d", " ", "12", " ", "123", "456", "7"]),
        ("it's I'LL 3.14 x==y", ["it", "'", "s", " I", "'", "LL", " ", "3", ".", "14", " x", "==", "y"]),
        ("  두 칸\t탭\n\n줄  (끝)  ", [" ", " 두", " 칸", "\t", "탭", "\n", "\n", "줄", "  ", "(", "끝", ")", "  "]),
        ("x¥ ½٣٤٥1234 🐿️`", ["x", "¥", " ", "½٣٤٥", "123", "4", " 🐿️`"]),
        ("\r\n$+<=>^~|—。", ["\r\n", "$+<=>^~|—。"]),
    ],
)
def test_the_default_family_splits_four_times(tokenizer: Tokenizer, text: str, words: list[str]):
    parts = replace(tokenizer.parts(), pretokenizer="default")
    plain = tokenizer_from_parts(parts, "default")
    found = plain.backend.pre_tokenizer.pre_tokenize_str(text)
    assert [text[start:end] for _, (start, end) in found] == words
    assert plain.decode(plain.encode(text)) == text
    assert plain.parts() == parts


@given(st.text())
@example("a 12b  3\n\n x9. ⅧⅧ ٣٤ it's 1 도토리 2 ")
def test_the_smollm_family_splits_as_its_published_form(text: str):
    digits = pre_tokenizers.Digits(individual_digits=True)
    published = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = published
    form = json.loads(tokenizer.to_str())["pre_tokenizer"]
    assert pretokenizer_name(form) == "smollm"
    tokenizer = tokenizers.Tokenizer.from_str(
        json.dumps(json.loads(tokenizer.to_str()) | {"pre_tokenizer": pretokenizer_json("smollm")})
    )
    assert tokenizer.pre_tokenizer.pre_tokenize_str(text) == published.pre_tokenize_str(text)


def test_a_sentencepiece_tokenizer_decodes(tmp_path: Path):
    vocabulary = {"<unk>": 0, "▁": 1, "▁가": 2, "나": 3, "<0xEA>": 4, "<0xB0>": 5, "<0x81>": 6, "가": 7}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [("▁", "가")], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.decode([2, 3, 2, 4, 5, 6]) == "가나 가각" == backend.decode([2, 3, 2, 4, 5, 6])
    with pytest.raises(UserError, match="byte-level"):
        tokenizer.parts()


def _altered(folder: Path, out: Path, change) -> Path:
    out.mkdir()
    value = json.loads((folder / "tokenizer.json").read_text())
    change(value)
    (out / "tokenizer.json").write_text(json.dumps(value))
    return out


def test_broken_files_are_named(tokenizer_folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"holds no tokenizer\.json"):
        load_tokenizer(tmp_path)
    for number, change in enumerate(
        [
            lambda value: value["model"]["merges"].append(["없는", "토큰"]),
            lambda value: value["model"].update(type="Odd"),
            lambda value: value.pop("model"),
            lambda value: value["model"].update(vocab={}, merges=[]) or value.update(added_tokens=[]),
            lambda value: value["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "("}),
        ]
    ):
        with pytest.raises(UserError, match=r"tokenizer\.json"):
            load_tokenizer(_altered(tokenizer_folder, tmp_path / str(number), change))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        load_tokenizer(tmp_path)


def test_unknown_bos_wrong_ids_and_surrogates(tokenizer: Tokenizer, tokenizer_folder: Path, tmp_path: Path):
    folder = _altered(tokenizer_folder, tmp_path / "t", lambda value: None)
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<none>"}))
    with pytest.raises(UserError, match="bos_token '<none>'"):
        load_tokenizer(folder)
    with pytest.raises(UserError, match="token id: 400"):
        tokenizer.decode([400])
    with pytest.raises(UserError, match="token id: -1"):
        tokenizer.decode([-1])
    with pytest.raises(UserError, match="valid Unicode"):
        tokenizer.encode("\ud800")
