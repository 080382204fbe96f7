"""One run of the whole spine and small random models, made once a session; and no test talks to the outside."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dotori.checkpoint.folder import write_model
from dotori.checkpoint.lineage import Lineage
from dotori.export.gguf import ExportSettings, export_gguf
from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer
from dotori.recipe.run import run_recipe
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog
from dotori.runtime.torch_session import TorchSession
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.train_bpe import train_bpe

torch.set_num_threads(1)  # shapes of tests are small: a second thread waits more than it works

sys.path.insert(0, str(Path(__file__).parent))  # for parsed_page

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


PARROT_SAYS = "도토리는 가을 숲에서 조용히 자라요."


def _parrot(folder: Path, words: list[int], tokenizer: Tokenizer) -> Path:
    """A real model whose weights are set by hand: after a line feed it says `words` and ends its turn."""
    config = ModelConfig(
        model_type="llama",
        vocab_size=tokenizer.vocab_size,
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=2,
    )
    model, noise = Transformer(config), torch.Generator().manual_seed(1)
    line_feed = tokenizer.encode("assistant\n")[-1]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02, generator=noise) if parameter.ndim > 1 else parameter.fill_(1.0)
        embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
        embedding.normal_(generator=noise)
        for before, after in zip([line_feed, *words], [*words, tokenizer.special["<|im_end|>"]], strict=True):
            head[after] = embedding[before]
    write_model(folder / "model", model, tokenizer, Lineage(stage="train", settings={}, seed=1))
    export_gguf(ExportSettings(type="Q8_0"), folder / "model", folder / "export", RunLog(quiet=True))
    return folder / "export"


@pytest.fixture(scope="session")
def parrot_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """It has every word of PARROT_SAYS as one token."""
    folder = tmp_path_factory.mktemp("parrot") / "tokenizer"
    train_bpe([PARROT_SAYS, "user assistant system"] * 40, 340, folder)
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def parrot(parrot_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder with a model that answers PARROT_SAYS to everything."""
    return _parrot(tmp_path_factory.mktemp("parrot"), parrot_tokenizer.encode(PARROT_SAYS), parrot_tokenizer)


@pytest.fixture(scope="session")
def broken_parrot(parrot_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder with a model that answers with bytes that are no text."""
    table = {parrot_tokenizer.token_bytes(index): index for index in range(parrot_tokenizer.vocab_size)}
    return _parrot(tmp_path_factory.mktemp("broken"), [table[b"\xff"], table[b"\xfe"], table[b"a"]], parrot_tokenizer)
