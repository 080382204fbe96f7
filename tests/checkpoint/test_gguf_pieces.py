"""SentencePiece vocabularies of GGUF files, against SentencePiece's algorithm written out plainly."""

import json
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import gguf
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.checkpoint.gguf_file import GGUFFile
from dotori.checkpoint.gguf_pieces import NORMAL, PieceParts, pieces_tokenizer
from dotori.checkpoint.gguf_tokenizer import tokenizer_of
from dotori.data.storyworld.generate import documents
from dotori.errors import UserError
from dotori.tokenizer.byte_level import VocabularyParts
from dotori.tokenizer.chat import CHATML, encode_chat
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.stream import StreamDecoder

UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 2, 3, 4, 5, 6
SYLLABLES = [chr(code) for code in range(0xAC00, 0xD7A4)]
HARD = (
    "",
    " ",
    "   ",
    "\n",
    "\t\n \r\n",
    "a",
    " a  b   c ",
    "도토리를 숨겼어요.\n\n다람쥐가  웃었다\t끝",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🐿️",
    "<s></s><unk><0x41><|im_end|>",
    "▁ 칸 ▁▁",
    "e\u0301 \u1112\u1161\u11ab \x00\x7f\ufeff\U0010ffff",
    "ㅋㅋㅋㅋㅋ ---------- aaaaaaaaa 뷁뷁 漢字",
    "!@#$%^&*()_+ 1234567890 {'a': [1]}",
)
TEXT = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \n▁도토리는 다람쥐 the story<s>👍🏽\u200d"))
)


@dataclass(frozen=True)
class Spm:
    """A vocabulary: tokens, types and scores by id; user-defined tokens last."""

    tokens: list[str]
    types: list[int]
    scores: list[float]

    def plus(self, token: str, kind: int, score: float = 0.0) -> "Spm":
        return Spm([*self.tokens, token], [*self.types, kind], [*self.scores, score])


@pytest.fixture(scope="module")
def spm() -> Spm:
    """Pieces learnt from stories, scored by rank."""
    stories = [record["text"] for record in documents(1, 300, "small", kinds={"story": 1.0})]
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=900, show_progress=False)
    backend.train_from_iterator(stories, trainer)
    learnt = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    vocabulary = Spm(["<unk>", "<s>", "</s>"], [UNKNOWN, CONTROL, CONTROL], [0.0] * 3)
    for byte in range(256):
        vocabulary = vocabulary.plus(f"<0x{byte:02X}>", BYTE)
    for rank, (piece, _) in enumerate(learnt):
        vocabulary = vocabulary.plus(piece, NORMAL, -float(rank))
    for control in ("<|im_start|>", "<|im_end|>"):
        vocabulary = vocabulary.plus(control, CONTROL)
    return vocabulary


def write(path: Path, spm: Spm, **fields: bool | int | str) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for name in ("context_length", "embedding_length", "block_count", "feed_forward_length", "head_count"):
        getattr(writer, f"add_{name}")(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(spm.tokens)
    writer.add_token_types(spm.types)
    writer.add_token_scores(spm.scores)
    for name, value in {"bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0, **fields}.items():
        getattr(writer, f"add_{name}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(folder: Path, spm: Spm, **fields: bool | int | str) -> Tokenizer:
    return tokenizer_of(GGUFFile(write(folder / "model.gguf", spm, **fields)))


@pytest.fixture(scope="module")
def tokenizer(spm: Spm, tmp_path_factory) -> Tokenizer:
    return read(tmp_path_factory.mktemp("spm"), spm)


def merged(text: str, scores: dict[str, float]) -> list[str]:
    """SentencePiece's merging: the best score first, the leftmost of equals."""
    symbols = list(text)
    while True:
        pairs = [left + right for left, right in pairwise(symbols)]
        known = [place for place, pair in enumerate(pairs) if pair in scores]
        if not known:
            return symbols
        place = min(known, key=lambda index: (-scores[pairs[index]], index))
        symbols[place : place + 2] = [pairs[place]]


def expected(spm: Spm, text: str, adds_space: bool = True) -> list[int]:
    """The ids of a text without user-defined tokens."""
    index = {token: at for at, token in enumerate(spm.tokens)}
    scores = {t: s for t, k, s in zip(spm.tokens, spm.types, spm.scores, strict=True) if k == NORMAL}
    ids: list[int] = []
    for symbol in merged("▁" * (adds_space and bool(text)) + text.replace(" ", "▁"), scores):
        ids += [index[symbol]] if symbol in scores else [index[f"<0x{byte:02X}>"] for byte in symbol.encode()]
    return ids


def test_hard_texts(tokenizer: Tokenizer, spm: Spm):
    assert tokenizer.encode("") == []
    for text in HARD:
        assert tokenizer.encode(text) == expected(spm, text), text
        assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")
    assert tokenizer.encode_batch(list(HARD)) == [tokenizer.encode(text) for text in HARD]
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (1, 2, None)
    assert tokenizer.vocab_size == len(spm.tokens)


def test_stories_become_few_pieces(tokenizer: Tokenizer, spm: Spm):
    for record in documents(2, 20, "small", kinds={"story": 1.0}):
        ids = tokenizer.encode(record["text"])
        assert ids == expected(spm, record["text"])
        assert len(ids) < len(record["text"]) * 0.8


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_any_text_survives_and_has_no_control_token(tokenizer: Tokenizer, spm: Spm, text: str):
    ids = tokenizer.encode(text)
    assert ids == expected(spm, text)
    assert tokenizer.decode(ids) == text.replace("▁", " ")
    assert not set(ids) & set(tokenizer.special.values())


def test_all_syllables_stream_whole(tokenizer: Tokenizer):
    text = "".join(SYLLABLES)
    decoder = StreamDecoder(tokenizer)
    pieces = [decoder.push(index) for index in tokenizer.encode(text)]
    assert decoder.finish() == ""
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=40))
def test_random_ids_stream_to_what_decode_gives(tokenizer: Tokenizer, ids: list[int]):
    ids = [index % tokenizer.vocab_size for index in ids]
    decoder = StreamDecoder(tokenizer)
    assert "".join([decoder.push(index) for index in ids] + [decoder.finish()]) == tokenizer.decode(ids)


def test_without_a_space_before_texts(spm: Spm, tmp_path: Path):
    tokenizer = read(tmp_path, spm, add_space_prefix=False)
    for text in HARD:
        assert tokenizer.encode(text) == expected(spm, text, adds_space=False)
        assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")


def test_literal_unused_and_unknown_tokens(spm: Spm, tmp_path: Path):
    the = next(at for at, token in enumerate(spm.tokens) if token == "▁the")
    types = [UNUSED if at == the else kind for at, kind in enumerate(spm.types)]
    tokenizer = read(tmp_path, replace(spm, types=types).plus("<tool>", USER_DEFINED).plus("  ", USER_DEFINED))
    tool, two = len(spm.tokens), len(spm.tokens) + 1
    a, b, the_ids = tokenizer.encode("a"), tokenizer.encode("b"), tokenizer.encode("the")
    assert tokenizer.encode("a<tool>b") == [*a, tool, *b]
    assert tokenizer.encode("<tool><tool>") == [tool, tool]
    assert tokenizer.encode("a  b") == [*a, two, *b]
    assert tokenizer.decode([*a, tool, two, *b]) == "a<tool>   b"
    assert the not in the_ids
    assert tokenizer.decode(the_ids) == "the"
    assert tokenizer.decode([0, the, 1, *a]) == "a"


def test_without_byte_tokens_characters_become_the_unknown_token(spm: Spm, tmp_path: Path):
    kept = [at for at, kind in enumerate(spm.types) if kind != BYTE]
    small = Spm(*([column[at] for at in kept] for column in (spm.tokens, spm.types, spm.scores)))
    tokenizer = read(tmp_path, small)
    assert tokenizer.encode("뷁漢")[-2:] == [0, 0]
    assert tokenizer.decode(tokenizer.encode("a뷁b")) == "ab"
    with pytest.raises(UserError, match="255 byte tokens"):
        read(tmp_path, Spm(spm.tokens[:3] + spm.tokens[4:], spm.types[:3] + spm.types[4:], spm.scores[1:]))


def of_scores(scores: dict[str, float]) -> Tokenizer:
    """A tokenizer of these pieces and the bytes, without a space before texts."""
    tokens = [f"<0x{byte:02X}>" for byte in range(256)] + list(scores)
    types = [BYTE] * 256 + [NORMAL] * len(scores)
    parts = VocabularyParts(tokens, [], [], [], "default", None, None, None, None)
    return pieces_tokenizer(PieceParts(parts, types, [0.0] * 256 + list(scores.values()), None, False), "test")


@st.composite
def vocabularies(draw, ties: bool) -> dict[str, float]:
    """Pieces of two letters that merge in many ways, in any order of scores."""
    pieces = ["a", "b"]
    for _ in range(draw(st.integers(1, 25))):
        piece = draw(st.sampled_from(pieces)) + draw(st.sampled_from(pieces))
        if piece not in pieces and len(piece) < 10:
            pieces.append(piece)
    order = draw(st.permutations(pieces))
    return {piece: -float(rank // 4 if ties else rank) for rank, piece in enumerate(order)}


@settings(max_examples=150, deadline=None)
@given(vocabularies(ties=False), st.lists(st.text(alphabet="ab", max_size=30), min_size=5, max_size=5))
def test_merges_of_different_scores_are_sentencepieces(scores: dict[str, float], texts: list[str]):
    tokenizer = of_scores(scores)
    assert tokenizer.backend.pre_tokenizer is None
    for text in texts:
        assert tokenizer.backend.encode(text).tokens == merged(text, scores)


@settings(max_examples=150, deadline=None)
@given(vocabularies(ties=True), st.lists(st.text(alphabet="abc가", max_size=30), min_size=5, max_size=5))
def test_of_equal_scores_the_leftmost_merges(scores: dict[str, float], texts: list[str]):
    tokenizer = of_scores(scores)
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        pieces = [symbol if symbol in scores else symbol.encode() for symbol in merged(text, scores)]
        assert ids == [
            index
            for piece in pieces
            for index in ([256 + list(scores).index(piece)] if isinstance(piece, str) else list(piece))
        ]
        assert tokenizer.decode(ids) == text


def test_what_ranks_cannot_say():
    leftmost = {"a": 0.0, "b": 0.0, "c": 0.0, "ab": -1.0, "bc": -1.0}
    assert of_scores(leftmost).backend.encode("abcab").tokens == ["ab", "c", "ab"]
    assert of_scores({**leftmost, "ca": -1.0}).backend.encode("bcabc").tokens == ["bc", "ab", "c"]
    unlisted = {"a": 0.0, "b": 0.0, "가나": -1.0, "가나a": -2.0}
    assert of_scores(unlisted).backend.encode("b가나a가").tokens == ["b", "가나a", "<0xEA>", "<0xB0>", "<0x80>"]


@pytest.mark.parametrize("unit", ["a", " ", "\n", "가", "도토리 ", "👍", "<0x41>"])
@pytest.mark.parametrize("is_tied", [False, True])
def test_long_runs_do_not_take_quadratic_time(spm: Spm, tmp_path: Path, unit: str, is_tied: bool):
    scores = [0.0] * len(spm.scores) if is_tied else spm.scores
    tokenizer = read(tmp_path, replace(spm, scores=scores))
    text = unit * (60_000 // len(unit))
    before = time.monotonic()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    # About 0.3 s; a quadratic engine needs minutes.
    assert time.monotonic() - before < 10


@pytest.mark.parametrize("is_tied", [False, True])
def test_chat_contents_stay_text(spm: Spm, tmp_path: Path, is_tied: bool):
    scores = [0.0] * len(spm.scores) if is_tied else spm.scores
    tokenizer = read(tmp_path, replace(spm, scores=scores), chat_template=CHATML)
    tokens = encode_chat(
        tokenizer, [{"role": "user", "content": "<|im_end|>도토리"}, {"role": "assistant", "content": "숲에 있어요."}]
    )
    end = tokenizer.special["<|im_end|>"]
    assert tokens.ids.count(end) == 2
    answer = [index for index, loss in zip(tokens.ids, tokens.mask, strict=True) if loss]
    assert tokenizer.decode(answer).strip() == "숲에 있어요."
    assert answer[-1] == end


def test_the_saved_folder_is_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert [again.encode(text) for text in HARD] == [tokenizer.encode(text) for text in HARD]
    assert (again.bos_id, again.eos_id, again.special) == (1, 2, tokenizer.special)
    plain = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in HARD[1:]:
        ids = again.encode(text)
        assert plain.decode(ids) == again.decode(ids)
    assert plain.encode("도토리").ids == [1, *again.encode("도토리")]
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["byte_fallback"] is True


def test_damage_is_named(spm: Spm, tmp_path: Path):
    with pytest.raises(UserError, match=r"tokenizer\.ggml\.scores"):
        read(tmp_path, replace(spm, scores=[float("nan"), *spm.scores[1:]]))
    with pytest.raises(UserError, match=r"tokenizer\.ggml\.scores"):
        read(tmp_path, replace(spm, scores=spm.scores[1:]))
    with pytest.raises(UserError, match=r"tokenizer\.ggml\.token_type"):
        read(tmp_path, replace(spm, types=spm.types[1:]))
    with pytest.raises(UserError, match=r"tokenizer\.ggml\.token_type"):
        read(tmp_path, replace(spm, types=[9, *spm.types[1:]]))
    with pytest.raises(UserError, match="byte token '<0xZZ>'"):
        read(tmp_path, spm.plus("<0xZZ>", BYTE))
    with pytest.raises(UserError, match="control token '뷁'"):
        read(tmp_path, spm.plus("뷁", CONTROL))
    with pytest.raises(UserError, match="share one spelling"):
        read(tmp_path, spm.plus("▁the", NORMAL))
    with pytest.raises(UserError, match="bos_token_id 99999"):
        read(tmp_path, spm, bos_token_id=99999)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("adds_space", [False, True])
@pytest.mark.parametrize("is_tied", [False, True])
def test_llama_cpp_gives_the_same_ids(spm: Spm, tmp_path: Path, adds_space: bool, is_tied: bool):
    llama_cpp = pytest.importorskip("llama_cpp", reason="the peer extra is not installed")
    if is_tied:
        spm = replace(spm, scores=[float(round(score / 50)) for score in spm.scores])
    path = write(tmp_path / "model.gguf", spm.plus("<tool>", USER_DEFINED), add_space_prefix=adds_space)
    ours, theirs = tokenizer_of(GGUFFile(path)), llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    stories = [record["text"] for record in documents(3, 50, "small", kinds={"story": 1.0})]
    for text in (*HARD, *stories, "".join(SYLLABLES), *SYLLABLES[::11], "a<tool> b<tool>c", "<tool>"):
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == ours.encode(text), text
    theirs.close()
