"""The native session against the PyTorch session on the same weights, and the ways to misuse it."""

import dataclasses
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.checkpoint.gguf import write_gguf
from dotori.errors import UserError
from dotori.model.transformer import Transformer
from dotori.runtime.session import Session
from dotori.runtime.torch_session import TorchSession
from dotori.scorer import Scorer
from dotori.tokenizer.load import Tokenizer
from dotori.tokenizer.stream import StreamDecoder

IDS = st.lists(st.integers(0, 319), min_size=2, max_size=64)


def write(session: TorchSession, path: Path, **state) -> Path:
    tensors = {name: parameter.detach() for name, parameter in session.model.named_parameters()} | state
    write_gguf(path, session.config, tensors, session.tokenizer, "F32", {})
    return path


@pytest.fixture(scope="module")
def file(session: TorchSession, tmp_path_factory) -> Path:
    return write(session, tmp_path_factory.mktemp("native") / "model-F32.gguf")


@pytest.fixture(scope="module")
def native(file: Path) -> Session:
    return Session(file, threads=2)


def test_it_is_a_scorer_like_the_other(native: Session, session: TorchSession):
    scorer: Scorer = native
    assert (scorer.context, scorer.bos_id, scorer.eos_id) == (64, 0, 2)
    assert native.stop_ids == session.stop_ids
    assert native.tokenize("도토리 👍") == session.tokenize("도토리 👍")
    messages = [{"role": "user", "content": "안녕"}]
    assert native.chat(messages) == session.chat(messages)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(IDS, st.integers(1, 70)), max_size=5))
def test_loglikelihood(native: Session, session: TorchSession, items):
    sequences, starts = [ids for ids, _ in items], [start for _, start in items]
    expected = session.loglikelihood(sequences, starts)
    np.testing.assert_allclose(native.loglikelihood(sequences, starts), expected, rtol=1e-3, atol=2e-2)


def test_the_same_words_come_out(native: Session, session: TorchSession):
    for text in ("다람쥐", "The squirrel", "도토리를 5개"):
        ids = session.tokenize(text)
        assert list(native.generate(ids, 30, ignore_eos=True)) == list(session.generate(ids, 30, ignore_eos=True))


def test_stop_ids_and_stop_strings(native: Session, session: TorchSession):
    ids = session.tokenize("The")
    whole = list(native.generate(ids, 30, temperature=1.0, seed=1, ignore_eos=True))
    text = native.detokenize(whole)
    word = next(text[i : i + 2] for i in range(3, len(text)) if "\ufffd" not in text[i : i + 2])
    shown = native.detokenize(list(native.generate(ids, 30, temperature=1.0, seed=1, ignore_eos=True, stop=word)))
    assert shown == text[: text.index(word)]
    assert (
        native.generate_batch([ids], 30, [whole[0]])[0][:1] != whole[:1] or whole[0] != native.logits(ids)[-1].argmax()
    )


def test_turns_reuse_what_was_read(file: Path):
    reused, fresh = Session(file, threads=1), Session(file, threads=1)
    first = list(reused.generate([5, 6, 7, 8], 6, ignore_eos=True))
    longer = [5, 6, 7, 8, *first, 9, 10]
    assert reused._core.keep_prefix(longer) == 4 + len(first) - 1
    assert list(reused.generate(longer, 6, ignore_eos=True)) == list(fresh.generate(longer, 6, ignore_eos=True))


def test_two_texts_of_one_session_do_not_mix(native: Session):
    alone = [list(native.generate(ids, 12, ignore_eos=True)) for ids in ([5, 6, 7], [8, 9])]
    both = (native.generate([5, 6, 7], 12, ignore_eos=True), native.generate([8, 9], 12, ignore_eos=True))
    mixed = list(zip(*both, strict=True))
    assert [list(ids) for ids in zip(*mixed, strict=True)] == alone


def test_sessions_share_weights_across_threads(native: Session):
    prompts = [[5, 6, 7], [8, 9], [10, 11, 12, 13], [14]]
    expected = [list(native.generate(ids, 20, ignore_eos=True)) for ids in prompts]
    found: list[list[int]] = [[] for _ in prompts]

    def work(place: int) -> None:
        found[place] = list(native.fork().generate(prompts[place], 20, ignore_eos=True))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_more_threads_than_cores(file: Path, native: Session):
    crowded = Session(file, threads=2 * (os.cpu_count() or 1) + 1)
    np.testing.assert_array_equal(crowded.logits([5, 6, 7]), native.logits([5, 6, 7]))
    assert list(crowded.generate([5], 4, ignore_eos=True)) == list(native.generate([5], 4, ignore_eos=True))


def test_a_full_context_is_an_error_or_slides(native: Session):
    with pytest.raises(UserError, match="60 prompt tokens and 5 new ones; this model holds 64; ask for at most 4"):
        native.generate([1] * 60, max_tokens=5)
    with pytest.raises(UserError, match="this model holds 64"):
        native.logits([1] * 65)
    with pytest.raises(UserError, match="this model holds 64"):
        native.loglikelihood([[1] * 65], [1])
    assert len(list(native.generate([1] * 60, ignore_eos=True))) == 4
    assert len(list(native.generate([1] * 60, 100, ignore_eos=True, slide=True))) == 100


def test_bad_input_is_one_clear_error(native: Session):
    with pytest.raises(UserError, match="no tokens"):
        native.generate([], 1)
    with pytest.raises(UserError, match=r"token id 320; 0 to 319"):
        native.generate([320], 1)
    with pytest.raises(UserError, match=r"token id -1"):
        native.logits([-1])
    with pytest.raises(UserError, match="temperature"):
        native.generate([1], 1, temperature=-0.1)
    with pytest.raises(UserError, match="start 0"):
        native.loglikelihood([[1, 2]], [0])
    with pytest.raises(UserError, match="lookup"):
        native.generate([1], 1, temperature=0.5, lookup=True)
    with pytest.raises(UserError, match="context: 65; 1 to 64"):
        Session(native.path, 1, context=65)
    with pytest.raises(UserError, match="memory: 0 MB allowed"):
        Session(native.path, 1, memory_bytes=10_000)


def test_weights_that_are_no_numbers_are_named(session: TorchSession, tmp_path: Path):
    path = write(session, tmp_path / "model.gguf")
    data = bytearray(path.read_bytes())
    place = data.rfind(np.float32(session.model.model.norm.weight[0].item()).tobytes())
    data[place : place + 4] = np.float32("nan").tobytes()
    path.write_bytes(data)
    with pytest.raises(UserError, match="not finite"):
        list(Session(path, 1).generate([1], 1))


@pytest.mark.parametrize("isa", ["avx1024", "neon_dotprod" if sys.platform != "darwin" else "avx2"])
def test_an_instruction_set_that_cannot_run_is_named(file: Path, monkeypatch, isa):
    monkeypatch.setenv("DOTORI_ISA", isa)
    with pytest.raises(UserError, match=f"DOTORI_ISA: {isa}; this processor runs reference"):
        Session(file, 1)


def test_a_file_that_changes_meanwhile(file: Path, tmp_path: Path):
    path = shutil.copy(file, tmp_path / "model.gguf")
    opened = Session(Path(path), 1)
    expected = list(opened.generate([5, 6], 10, ignore_eos=True))
    os.truncate(path, 1000)
    assert list(opened.generate([5, 6], 10, ignore_eos=True)) == expected
    with pytest.raises(UserError, match="changed since it was opened"):
        opened.tokenize("a")


def test_broken_files(file: Path, session: TorchSession, tmp_path: Path):
    whole = file.read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.gguf").write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.gguf"):
            Session(tmp_path / "cut.gguf", 1)
    with pytest.raises(UserError, match="nothing"):
        Session(tmp_path / "nothing.gguf", 1)
    renamed = whole.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_uq.weight")
    (tmp_path / "missing.gguf").write_bytes(renamed)
    with pytest.raises(UserError, match=r"blk\.1\.ffn_up\.weight"):
        Session(tmp_path / "missing.gguf", 1)


def test_every_syllable_streams_whole(native: Session):
    text = "".join(chr(code) for code in range(0xAC00, 0xD7A4))
    decoder = StreamDecoder(native.tokenizer)
    pieces = [decoder.push(index) for index in native.tokenize(text)]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_gguf_file_needs_no_torch(file: Path):
    code = (
        "import sys; from dotori.runtime.open import open_model; m = open_model(sys.argv[1], threads=1); "
        "print(m.detokenize(list(m.generate(m.tokenize('a'), 3)))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, capture_output=True)


def test_the_tokenizer_must_belong_to_the_weights(session: TorchSession, tmp_path: Path):
    small = dataclasses.replace(session.config, vocab_size=300, bos_token_id=None, eos_token_id=None)
    state = {name: parameter.detach() for name, parameter in session.model.named_parameters()}
    state["model.embed_tokens.weight"] = torch.zeros(300, small.hidden_size)
    write_gguf(tmp_path / "m.gguf", small, state, session.tokenizer, "F32", {})
    with pytest.raises(UserError, match=r"token_embd|tokens"):
        Session(tmp_path / "m.gguf", 1)


def test_rows_of_the_table_without_a_token_give_no_text(session: TorchSession, tmp_path: Path):
    wide = dataclasses.replace(session.config, vocab_size=336)
    state = {name: parameter.detach() for name, parameter in session.model.named_parameters()}
    state["model.embed_tokens.weight"] = torch.cat([state["model.embed_tokens.weight"], torch.ones(16, 32)])
    write_gguf(tmp_path / "m.gguf", wide, state, session.tokenizer, "F32", {})
    native = Session(tmp_path / "m.gguf", 1)
    assert native.detokenize([335, *native.tokenize("도토리"), 320]) == "도토리"
    assert StreamDecoder(native.tokenizer).push(330) == ""
    with pytest.raises(UserError, match="token id: 336"):
        native.detokenize([336])
    model = Transformer(wide)
    model.load_state_dict(state, strict=False)
    assert TorchSession(model, load_tokenizer_of(session)).detokenize([335]) == ""


def load_tokenizer_of(session: TorchSession) -> Tokenizer:
    return Tokenizer(session.tokenizer.files, "copy")
