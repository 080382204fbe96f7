import json
from pathlib import Path

import pytest
import torch

from dotori.checkpoint.folder import write_model
from dotori.checkpoint.lineage import Lineage, check_files, read_lineage
from dotori.data.storyworld.generate import documents
from dotori.errors import UserError
from dotori.evaluate.stage import EvaluateSettings, evaluate_models, evaluation_files
from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a tokenizer of its world."""
    base = tmp_path_factory.mktemp("evaluate")
    train_bpe((row["text"] for row in documents(1, 200, "tiny")), 600, base / "tokenizer")
    tokenizer = load_tokenizer(base / "tokenizer")
    config = ModelConfig(
        model_type="llama",
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
    )
    generator = torch.Generator().manual_seed(3)
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.4 if parameter.ndim > 1 else 1.0, generator=generator)
    lineage = Lineage(stage="test", settings={}, data={"storyworld.vocabulary": "tiny"})
    write_model(base / "sft", model, tokenizer, lineage)
    return base / "sft"


def test_the_folder_of_an_evaluation(model: Path, tmp_path: Path):
    (tmp_path / "held.txt").write_text("다람쥐가 도토리를 숨겼어요.\n")
    settings = EvaluateSettings(count=6, texts=(str(tmp_path / "held.txt"),))
    evaluate_models(settings, [model, model], tmp_path / "eval", RunLog(quiet=True))
    found = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert found["stage"] == "evaluate"
    assert [row["name"] for row in found["models"]] == ["sft", "sft"]
    row = found["models"][0]
    assert row["file"] == "model.safetensors"
    assert row["storyworld"]["vocabulary"] == "tiny"
    assert row["bpb"]["languages"]["ko"]["bits_per_byte"] > 0
    assert row["storyworld"]["qa_exact_match"] == 0
    turns = found["transcript"]["turns"]
    assert [turn["role"] for turn in turns[:2]] == ["user", "assistant"]
    assert len(turns) == 10
    lineage = read_lineage(tmp_path / "eval")
    assert lineage.proofs[0].passed
    assert lineage.metrics["sft"]["bits_per_byte_ko"] == row["bpb"]["languages"]["ko"]["bits_per_byte"]
    assert set(lineage.parents) == {"sft"}
    assert check_files(tmp_path / "eval", lineage.files) == []
    assert evaluation_files(settings) == [tmp_path / "held.txt"]


def test_prompts_alone_make_a_transcript(model: Path, tmp_path: Path):
    settings = EvaluateSettings(storyworld=False, prompts=("안녕?", "Hi"))
    evaluate_models(settings, [model], tmp_path / "eval", RunLog(quiet=True))
    found = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert [turn["content"] for turn in found["transcript"]["turns"]][::2] == ["안녕?", "Hi"]
    assert found["models"][0]["storyworld"] is None
    assert found["models"][0]["bpb"] is None


def test_impossible_evaluations_are_named(model: Path, tmp_path: Path):
    with pytest.raises(UserError, match="nothing would be measured"):
        EvaluateSettings(storyworld=False)
    with pytest.raises(UserError, match="count: 0"):
        EvaluateSettings(count=0)
    with pytest.raises(UserError, match="no models"):
        evaluate_models(EvaluateSettings(), [], tmp_path / "eval", RunLog(quiet=True))
    with pytest.raises(UserError, match="no such file"):
        evaluate_models(EvaluateSettings(), [tmp_path / "none"], tmp_path / "eval", RunLog(quiet=True))
    assert not (tmp_path / "eval").exists()
