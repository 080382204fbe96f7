"""Small random models of every family, as folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dotori.checkpoint.folder import write_model
from dotori.checkpoint.lineage import Lineage
from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer
from dotori.tokenizer.load import load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe

_MULTIPLIERS = {"embedding_multiplier": 12.0, "residual_multiplier": 0.7, "logits_scaling": 0.5}


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "tokenizer"
    train_bpe(["도토리와 acorn", "작은 모델"], 290, folder)
    return folder


def random_model(family: str, tied: bool, vocab_size: int = 290) -> Transformer:
    """Two layers of width 64, weights in a trained model's range."""
    extra: dict = dict(_MULTIPLIERS) if family in ("granite", "minicpm") else {}
    if family == "granite":
        extra["attention_multiplier"] = 0.2
    config = ModelConfig(
        model_type=family,
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=96,
        tie_word_embeddings=tied,
        attention_bias=family == "qwen2",
        qk_norm=family == "qwen3",
        bos_token_id=0,
        eos_token_id=2,
        **extra,
    )
    model, dice = Transformer(config), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = parameter.shape[-1] ** -0.5
            parameter.normal_(1.0 if "norm" in name else 0.0, 0.1 if "norm" in name else spread, generator=dice)
    return model.requires_grad_(False).eval()


@pytest.fixture
def folder_of(tokenizer_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """family, tied -> a model folder `model` in the test's folder."""

    def make(family: str, tied: bool = True) -> Path:
        tokenizer = load_tokenizer(tokenizer_folder)
        model = random_model(family, tied, tokenizer.vocab_size)
        write_model(tmp_path / "model", model, tokenizer, Lineage(stage="train", settings={}, seed=4, tokens_seen=99))
        return tmp_path / "model"

    return make
