"""One small trained tokenizer for the tests of this package."""

from pathlib import Path

import pytest

from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe

SENTENCES = [
    "도토리는 작은 열매입니다. 다람쥐가 도토리를 숲에 숨깁니다.",
    "An acorn is a small nut. The squirrel hides acorns in the forest.",
    "민수는 학교에 갔습니다. 비가 와서 우산을 썼습니다.",
    "def plant(acorn):\n    return Tree(acorn)\n",
]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "small"
    train_bpe((f"{sentence} {number}" for number in range(40) for sentence in SENTENCES), 400, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return load_tokenizer(tokenizer_folder)
