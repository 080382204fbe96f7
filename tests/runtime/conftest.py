"""A small tokenizer and a small random model for the tests of this package."""

from pathlib import Path

import pytest
import torch

from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer
from dotori.runtime.torch_session import TorchSession
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "small"
    texts = (f"다람쥐가 {n}개의 도토리를 숲에 숨깁니다. The squirrel hides {n} acorns." for n in range(60))
    train_bpe(texts, 320, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return load_tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def session(tokenizer: Tokenizer) -> TorchSession:
    config = ModelConfig(
        model_type="granite",
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
    )
    generator = torch.Generator().manual_seed(5)
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.4 if parameter.ndim > 1 else 1.0, generator=generator)
    return TorchSession(model, tokenizer)
