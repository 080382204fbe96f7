"""A small tokenizer for the tests of this package."""

from pathlib import Path

import pytest

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
