"""The native core computes what the oracle computes, for every architecture, type and instruction set.

Tolerances. F32 and F16 weights: the cache holds float16 (relative rounding 2^-11), nothing else differs. Block types
round every product's inputs to int8: each of the 32 inputs of a block is off by at most max/254, at random, so the
relative error of one product is about 1/254/sqrt(3) = 0.0023 of its inputs' peak, three times that of their RMS; seven
products a layer over three layers add up to sqrt(21) * 0.007 = 0.03 of the logits' RMS.
"""

import numpy as np
import pytest
import torch
from random_models import random_model
from smallthinker_file import write_smallthinker
from smallthinker_reference import logits as smallthinker_logits

from dotori.checkpoint.folder import model_of
from dotori.checkpoint.gguf import read_gguf, write_gguf
from dotori.checkpoint.gguf_file import GGUFFile
from dotori.model.generate import generate
from dotori.model.sampling import Sampling, sample
from dotori.model.transformer import Transformer
from dotori.runtime import _core
from dotori.runtime.session import Session
from dotori.tokenizer.load import load_tokenizer

TOLERANCE = {"F32": 2e-3, "F16": 2e-3, "Q8_0": 0.03, "Q4_0": 0.03}
ISAS = _core.runnable_isas()
ARCHITECTURES = ["llama", "qwen2", "qwen3", "granite", "minicpm"]


@pytest.fixture(scope="module")
def make(micro_run, tmp_path_factory):
    """make(model_type, file_type) -> path of a random model; made once each."""
    tokenizer = load_tokenizer(micro_run / "sft")
    folder, made = tmp_path_factory.mktemp("native"), {}

    def build(model_type: str, file_type: str, head_dim: int = 16, tied: bool = True):
        name = f"{model_type}-{file_type}-{head_dim}-{tied}"
        if name not in made:
            made[name] = folder / f"{name}.gguf"
            config, model = random_model(model_type, tokenizer.vocab_size, head_dim, tied)
            write_gguf(made[name], config, model.state_dict(), tokenizer, file_type, {})
        return made[name]

    return build


def oracle(path) -> Transformer:
    found = read_gguf(path)
    return model_of(found.config, found.state).eval()


def ids_for(session: Session, count: int) -> list[int]:
    return [(37 * i + 11) % session.vocab_size for i in range(count)]


def relative(mine: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.sqrt(((mine - theirs) ** 2).mean() / (theirs**2).mean()))


@torch.inference_mode()
def torch_logits(model: Transformer, ids: list[int]) -> np.ndarray:
    return model(torch.tensor([ids]))[0].numpy()


CASES = [(arch, kind, ISAS[-1]) for arch in ARCHITECTURES for kind in TOLERANCE]
CASES += [("granite", kind, isa) for kind in TOLERANCE for isa in ISAS[:-1]]


@pytest.mark.parametrize(("model_type", "file_type", "isa"), CASES)
def test_logits(make, monkeypatch, model_type, file_type, isa):
    monkeypatch.setenv("DOTORI_ISA", isa)
    path = make(model_type, file_type)
    session = Session(path, threads=2)
    assert session.isa == isa
    ids = ids_for(session, 200)  # more than one chunk
    assert relative(session.logits(ids), torch_logits(oracle(path), ids)) <= TOLERANCE[file_type]


@pytest.mark.parametrize("head_dim", [8, 24, 32])
def test_heads_of_any_even_size(make, head_dim):
    path = make("llama", "F32", head_dim, tied=False)
    session = Session(path, threads=2)
    ids = ids_for(session, 140)
    assert relative(session.logits(ids), torch_logits(oracle(path), ids)) <= TOLERANCE["F32"]


@pytest.mark.parametrize("file_type", ["F16", "Q4_0"])
def test_one_by_one_and_all_at_once_give_the_same_bits(make, file_type):
    session = Session(make("qwen3", file_type), threads=2)
    ids = ids_for(session, 150)
    whole = session.logits(ids)
    session._forget()
    steps = np.concatenate([session._core.logits([index]) for index in ids])
    np.testing.assert_array_equal(whole, steps)
    single = Session(session.path, threads=1)
    np.testing.assert_array_equal(single.logits(ids), whole)


def test_greedy_tokens_of_a_trained_model(micro_run, tmp_path):
    path = micro_run / "export-q4_0" / "model-Q4_0.gguf"
    session, model = Session(path, threads=2), oracle(path)
    for text in ("아침에", "In the morning,"):
        ids = [session.bos_id, *session.tokenize(text)]
        room = min(256, session.context - len(ids))
        assert list(session.generate(ids, room, ignore_eos=True)) == list(generate(model, ids, room, Sampling()))


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 7},
        {"temperature": 1.0, "top_p": 0.6},
        {"temperature": 2.0, "min_p": 0.05, "top_p": 0.95},
        {"temperature": 0.9, "top_k": 50, "top_p": 0.9, "repetition_penalty": 1.3},
        {"temperature": 0.0, "repetition_penalty": 1.2},
    ],
)
def test_draws_are_those_of_the_oracle(make, settings):
    session = Session(make("llama", "F16"), threads=1)
    for seed in (0, 1, 2**64 - 1):
        ids = ids_for(session, 5)
        found = list(session.generate(ids, 60, seed=seed, ignore_eos=True, **settings))
        logits = session.logits(ids + found[:-1])
        for step, index in enumerate(found):
            before = ids + found[:step]
            assert index == sample(logits[len(before) - 1], Sampling(seed=seed, **settings), len(before), before)


@pytest.mark.parametrize("file_type", ["F32", "Q4_0"])
def test_lookup_gives_the_greedy_tokens(make, file_type):
    session = Session(make("granite", file_type), threads=2)
    ids = ids_for(session, 20) * 3
    plain = list(session.generate(ids, 120, ignore_eos=True))
    assert list(session.generate(ids, 120, ignore_eos=True, lookup=True)) == plain


SMALLTHINKER = {"F32": 2e-3, "F16": 2e-3, "BF16": 2e-3, "Q4_0": 0.03, "Q8_0": 0.03, "Q4_K": 0.03, "Q6_K": 0.03}
EXPERT_CASES = [(kind, ISAS[-1], {}) for kind in SMALLTHINKER]
EXPERT_CASES += [("Q4_0", isa, {}) for isa in ISAS[:-1]] + [("Q8_0", isa, {}) for isa in ISAS[:-1]]
EXPERT_CASES += [(kind, ISAS[-1], v) for kind in ("F16", "Q4_0") for v in ({"is_sigmoid": False}, {"window": 4096})]


@pytest.mark.parametrize(("file_type", "isa", "variant"), EXPERT_CASES)
def test_smallthinker(tmp_path, monkeypatch, file_type, isa, variant):
    monkeypatch.setenv("DOTORI_ISA", isa)
    path = tmp_path / "st.gguf"
    write_smallthinker(path, file_type, **variant)
    session = Session(path, threads=2)
    ids = ids_for(session, 40)
    expected = smallthinker_logits(GGUFFile(path), ids)
    whole = session.logits(ids)
    session._forget()
    steps = np.concatenate([session._core.logits([index]) for index in ids])
    for found in (whole, steps):
        rows = [relative(mine, theirs) for mine, theirs in zip(found, expected, strict=True)]
        assert np.median(rows) <= SMALLTHINKER[file_type]
        # Rounding may turn a close choice between two experts, after which a token is simply another one.
        assert np.mean(np.array(rows) <= 3 * SMALLTHINKER[file_type]) >= (
            0.7 if SMALLTHINKER[file_type] > 0.01 else 1.0
        )
