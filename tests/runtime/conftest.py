"""A small tokenizer and a small random model for the tests of this package."""

import pytest

from dotori.runtime.torch_session import TorchSession
from dotori.tokenizer.load import Tokenizer


@pytest.fixture(scope="session")
def tokenizer(small_tokenizer: Tokenizer) -> Tokenizer:
    return small_tokenizer


@pytest.fixture(scope="session")
def session(random_model) -> TorchSession:
    return random_model(64)
