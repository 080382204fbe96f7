"""One run of the whole spine and small random models, made once a session; and no test talks to the outside."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer
from dotori.recipe.run import run_recipe
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog
from dotori.runtime.torch_session import TorchSession
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe

torch.set_num_threads(1)  # shapes of tests are small: a second thread waits more than it works

LOOPBACK = ("127.", "::1", "::ffff:127.", "localhost")


def stay_inside(event: str, arguments: tuple) -> None:
    """An audit hook: connecting to, or looking up, anything but this machine is an error."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
    elif event == "socket.getaddrinfo" and arguments[0]:
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else str(arguments[0])
    else:
        return
    if not host.startswith(LOOPBACK):
        raise RuntimeError(f"a test reached for {host}; only loopback is allowed")


sys.addaudithook(stay_inside)

MICRO = Path(__file__).parent / "micro.toml"


@pytest.fixture(scope="session")
def micro_recipe() -> Path:
    """The recipe of `micro_run`."""
    return MICRO


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; copy it before you change anything."""
    folder = tmp_path_factory.mktemp("micro") / "run"
    with RunLog(quiet=True) as log:
        run_recipe(read_recipe(MICRO), folder, log)
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of bytes and a few merges."""
    folder = tmp_path_factory.mktemp("tokenizer") / "small"
    texts = (f"다람쥐가 {n}개의 도토리를 숲에 숨깁니다. The squirrel hides {n} acorns." for n in range(60))
    train_bpe(texts, 320, folder)
    return folder


@pytest.fixture(scope="session")
def small_tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return load_tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def random_model(small_tokenizer: Tokenizer) -> Callable[..., TorchSession]:
    """random_model(context, hidden, layers): it speaks noise, broken UTF-8 too."""

    def make(context: int, hidden: int = 32, layers: int = 2) -> TorchSession:
        config = ModelConfig(
            model_type="granite",
            vocab_size=small_tokenizer.vocab_size,
            hidden_size=hidden,
            intermediate_size=3 * hidden // 2,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=context,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=2,
        )
        generator, model = torch.Generator().manual_seed(5), Transformer(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter.data, std=0.4 if parameter.ndim > 1 else 1.0, generator=generator)
        return TorchSession(model, small_tokenizer)

    return make
