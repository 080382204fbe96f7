"""Model folders: altered ones are refused by name, lineage notices every change, nothing is half-written."""

import json
import struct
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models

from dotori.checkpoint.folder import read_model, write_model
from dotori.checkpoint.lineage import Lineage, at_most, check_files, equal, folder_hash, read_lineage
from dotori.checkpoint.tensors import write_tensors
from dotori.errors import ProofError, UserError
from dotori.model.config import mup_config
from dotori.model.init import init_weights
from dotori.model.transformer import Transformer
from dotori.tokenizer.load import Tokenizer

CONFIG = mup_config(
    vocab_size=40,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=0,
    eos_token_id=2,
)
LINEAGE = Lineage(stage="test", settings={"lr": 0.01}, seed=3, proofs=(at_most("difference", 0.0, 1e-4, "a and b"),))


def tokenizer() -> Tokenizer:
    raw = RawTokenizer(models.BPE(vocab={f"t{i}": i for i in range(40)}, merges=[]))
    return Tokenizer({"tokenizer.json": raw.to_str().encode()}, "tiny")


@pytest.fixture
def folder(tmp_path):
    model = Transformer(CONFIG)
    init_weights(model, torch.Generator().manual_seed(0))
    write_model(tmp_path / "model", model, tokenizer(), LINEAGE)
    return tmp_path / "model"


def state_of(folder) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in read_model(folder)[0].named_parameters()}


def test_a_folder_reads_back_equal_with_its_lineage(folder):
    model, config = read_model(folder)
    fresh = Transformer(CONFIG)
    init_weights(fresh, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), fresh.parameters(), strict=True))
    assert replace(config, initializer_range=CONFIG.initializer_range) == CONFIG
    lineage = read_lineage(folder)
    assert lineage.proofs == LINEAGE.proofs
    assert check_files(folder, lineage.files) == []
    assert {"README.md", "config.json", "generation_config.json", "tokenizer.json"} <= set(lineage.files)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype"])
def test_wrong_tensors_are_named(folder, change):
    state, name = state_of(folder), "model.layers.1.mlp.up_proj.weight"
    if change == "missing":
        del state[name]
    elif change == "extra":
        name = "model.layers.7.mlp.up_proj.weight"
        state[name] = torch.zeros(2)
    elif change == "shape":
        state[name] = state[name][:-1]
    else:
        state[name] = state[name].to(torch.int32)
    write_tensors(folder / "model.safetensors", state)
    with pytest.raises(UserError, match=name):
        read_model(folder)


@pytest.mark.parametrize("keep", [0, 4, 8, 200, -1])
def test_truncated_weights_are_one_error(folder, keep):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    with pytest.raises(UserError):
        read_model(folder)


def test_a_huge_header_is_refused_before_it_is_read(folder):
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    with pytest.raises(UserError, match="safetensors"):
        read_model(folder)


def test_impossible_sizes_are_refused_before_anything_is_allocated(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2**30}))
    with pytest.raises(UserError, match="too small"):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_type": "gpt2"}, "gpt2"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"num_local_experts": 8}, "experts"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
        ({"sliding_window": 8, "use_sliding_window": True}, "sliding_window"),
        ({"hidden_size": 33, "head_dim": None}, "hidden_size"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
    ],
)
def test_what_we_cannot_compute_is_refused(folder, change, word):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=word):
        read_model(folder)


def test_pickled_weights_are_never_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="never read"):
        read_model(folder)


def test_shards_read_like_one_file(folder):
    state = state_of(folder)
    names = sorted(state)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        write_tensors(folder / file, {name: state[name] for name in part})
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert all(torch.equal(tensor, state[name]) for name, tensor in state_of(folder).items())
    (folder / "b.safetensors").unlink()
    with pytest.raises(UserError, match=r"b\.safetensors"):
        read_model(folder)


def test_a_shard_outside_the_folder_is_refused(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../../etc/passwd"}}))
    with pytest.raises(UserError, match="beside it"):
        read_model(folder)


def test_every_alteration_is_noticed(folder):
    before = folder_hash(folder)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (folder / "extra.txt").write_text("x")
    problems = check_files(folder, read_lineage(folder).files)
    assert len(problems) == 2
    assert folder_hash(folder) == before
    text = (folder / "lineage.json").read_text()
    (folder / "lineage.json").write_text(text.replace('"seed": 3', '"seed": 4'))
    with pytest.raises(UserError, match="altered"):
        read_lineage(folder)


def test_a_failed_proof_writes_nothing(tmp_path):
    failed = replace(LINEAGE, proofs=(equal("ids", "a", "b", "x and y"),))
    with pytest.raises(ProofError, match="ids"):
        write_model(tmp_path / "m", Transformer(CONFIG), tokenizer(), failed)
    assert list(tmp_path.iterdir()) == []
