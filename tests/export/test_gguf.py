"""The export stage: a folder with proofs, whole or not there."""

from dataclasses import replace

import pytest
import torch

from dotori.checkpoint.folder import write_model
from dotori.checkpoint.gguf import read_gguf
from dotori.checkpoint.lineage import Lineage, check_files, read_lineage
from dotori.errors import UserError
from dotori.export.gguf import ExportSettings, export_gguf, logits_proof, tokenizer_proof
from dotori.model.config import mup_config
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe


@pytest.fixture
def model(tmp_path):
    train_bpe(["도토리와 acorn", "작은 모델"], 290, tmp_path / "tokenizer")
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    config = mup_config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=2,
    )
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    write_model(tmp_path / "model", model, tokenizer, Lineage(stage="train", settings={}, seed=4, tokens_seen=99))
    return tmp_path / "model"


@pytest.mark.parametrize("file_type", ["F32", "F16", "Q8_0", "Q4_0"])
def test_an_export_folder_is_whole_and_proved(model, tmp_path, file_type):
    export_gguf(ExportSettings(type=file_type), model, tmp_path / "out", RunLog(None, quiet=True))
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["README.md", "lineage.json", f"model-{file_type}.gguf"]
    lineage = read_lineage(tmp_path / "out")
    assert [proof.passed for proof in lineage.proofs] == [True, True]
    assert lineage.tokens_seen == 99
    assert check_files(tmp_path / "out", lineage.files) == []
    assert lineage.metrics["kl_nats"] < {"F32": 1e-9, "F16": 1e-4, "Q8_0": 1e-2, "Q4_0": 1.0}[file_type]


def test_the_proofs_fail_when_the_file_is_another_model(model, tmp_path):
    export_gguf(ExportSettings(type="F16"), model, tmp_path / "out", RunLog(None, quiet=True))
    found = read_gguf(tmp_path / "out" / "model-F16.gguf")
    other = Transformer(replace(found.config, model_type="granite"))
    assert not logits_proof(other, found, "F16").passed
    train_bpe(["entirely different words here"], 290, tmp_path / "other")
    assert not tokenizer_proof(load_tokenizer(tmp_path / "other"), found.tokenizer).passed


def test_a_broken_model_leaves_nothing(model, tmp_path):
    (model / "model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError):
        export_gguf(ExportSettings(type="F16"), model, tmp_path / "out", RunLog(None, quiet=True))
    assert not (tmp_path / "out").exists()


def test_the_model_it_is_made_from_is_never_replaced(model, tmp_path):
    with pytest.raises(UserError, match=r"model: holds .*choose another --out"):
        export_gguf(ExportSettings(type="F16"), model, model, RunLog(None, quiet=True))
    assert (model / "model.safetensors").is_file()
    for file_type in ("F16", "Q8_0"):
        export_gguf(ExportSettings(type=file_type), model, tmp_path / "out", RunLog(None, quiet=True))
    assert (tmp_path / "out" / "model-Q8_0.gguf").is_file()
