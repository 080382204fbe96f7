"""GGUF: what is written comes back, in every family and type; no damaged file gets further than one error."""

import struct
from dataclasses import replace

import gguf
import numpy as np
import pytest
import torch

from dotori.checkpoint.gguf import read_gguf, round_trip, write_gguf
from dotori.checkpoint.gguf_file import GGUFFile
from dotori.errors import UserError
from dotori.model.config import ModelConfig, mup_config
from dotori.model.transformer import Transformer
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe

TEXTS = ["도토리는 작은 언어 모델입니다. 🐿️", "def f(x):\n    return x ** 2\n", "Acorns are small. " * 3]
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "t"
    train_bpe(TEXTS, 300, folder)
    return load_tokenizer(folder)


def config_of(family: str, vocab_size: int) -> ModelConfig:
    if family == "granite":
        return replace(mup_config(vocab_size=vocab_size, **SHAPE, bos_token_id=0, eos_token_id=2), pad_token_id=0)
    fields = {"attention_bias": family == "qwen2", "qk_norm": family == "qwen3", "head_dim": 16}
    fields |= {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": family == "qwen2"}
    if family == "minicpm":
        fields |= {"embedding_multiplier": 12.0, "residual_multiplier": 0.5, "logits_scaling": 0.25}
    return ModelConfig(model_type=family, vocab_size=vocab_size, **SHAPE, **fields)


def filled(config: ModelConfig) -> Transformer:
    model, generator = Transformer(config), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.normal_(std=0.2, generator=generator)
    return model


def state_of(model: Transformer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "granite", "minicpm"])
@pytest.mark.parametrize("file_type", ["F32", "F16", "Q8_0", "Q4_0"])
def test_what_is_written_comes_back(tmp_path, tokenizer, family, file_type):
    config = config_of(family, tokenizer.vocab_size)
    state = state_of(filled(config))
    write_gguf(tmp_path / "m.gguf", config, state, tokenizer, file_type, {"general.name": "tiny", "dotori.n": 3})
    back = read_gguf(tmp_path / "m.gguf")
    expected = round_trip(config, state, file_type)
    assert back.state.keys() == state.keys()
    for name, tensor in back.state.items():
        assert torch.equal(tensor, expected[name]), name
        if file_type == "F32":
            assert torch.equal(tensor, state[name])
    kept = ("hidden_size", "head_dim", "num_key_value_heads", "tie_word_embeddings", "eos_token_id", "qk_norm")
    assert all(getattr(back.config, name) == getattr(config, name) for name in kept)
    for name in ("embedding_multiplier", "residual_multiplier", "softmax_scale", "logits_scaling"):
        assert getattr(back.config, name) == pytest.approx(getattr(config, name), rel=1e-6)
    assert back.metadata["dotori.n"] == 3
    for text in [*TEXTS, "갸뷁 <|im_end|> 123"]:
        assert back.tokenizer.encode(text) == tokenizer.encode(text)
    assert back.tokenizer.chat_template == tokenizer.chat_template


def test_the_gguf_package_reads_the_same_tensors(tmp_path, tokenizer):
    config = config_of("granite", tokenizer.vocab_size)
    kinds = write_gguf(tmp_path / "m.gguf", config, state_of(filled(config)), tokenizer, "Q4_0", {})
    ours, theirs = GGUFFile(tmp_path / "m.gguf"), gguf.GGUFReader(tmp_path / "m.gguf")
    assert {tensor.name: tensor.tensor_type.name for tensor in theirs.tensors} == kinds
    assert kinds["token_embd.weight"] == "Q8_0"
    assert kinds["blk.0.attn_q.weight"] == "Q4_0"
    for tensor in theirs.tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(ours.read(tensor.name).reshape(expected.shape), expected)


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, tokenizer):
    config = config_of("llama", tokenizer.vocab_size)
    state = state_of(filled(config))
    state["model.layers.1.mlp.up_proj.weight"][3, 4] = float("nan")
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj"):
        write_gguf(tmp_path / "m.gguf", config, state, tokenizer, "F16", {})


@pytest.fixture(scope="module")
def small_file(tmp_path_factory, tokenizer):
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    config = config_of("granite", tokenizer.vocab_size)
    write_gguf(path, config, state_of(filled(config)), tokenizer, "Q4_0", {})
    return path


def test_a_file_cut_anywhere_is_one_error(small_file, tmp_path):
    data = small_file.read_bytes()
    for end in [*range(0, 200, 7), *range(200, len(data), len(data) // 60), len(data) - 1]:
        path = tmp_path / "cut.gguf"
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match=r"cut\.gguf"):
            read_gguf(path)


def test_flipped_bits_never_get_further_than_a_user_error(small_file, tmp_path):
    data = small_file.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "flipped.gguf"
    for position in [*range(4, 24), *generator.integers(24, 9000, 120).tolist()]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            read_gguf(path)
        except UserError:
            continue


@pytest.mark.parametrize("value", [2**31, 2**32, 2**62, 2**64 - 1])
@pytest.mark.parametrize("at", [8, 16, 24])
def test_huge_counts_and_lengths_are_refused(small_file, tmp_path, value, at):
    data = bytearray(small_file.read_bytes())
    data[at : at + 8] = struct.pack("<Q", value)
    (tmp_path / "huge.gguf").write_bytes(data)
    with pytest.raises(UserError, match=r"huge\.gguf"):
        read_gguf(tmp_path / "huge.gguf")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGML" + b"\0" * 60, b"GGUF" + struct.pack("<IQQ", 2, 0, 0)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(UserError):
        read_gguf(tmp_path / "x.gguf")
