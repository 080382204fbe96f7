"""A server on a loopback port with a small random model, whose answers hold every kind of hostile byte."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import openai
import pytest

from dotori.checkpoint.gguf import write_gguf
from dotori.runtime.session import Session
from dotori.serve.engine import Engine
from dotori.serve.lifecycle import listening_socket, run_server
from dotori.serve.limits import Limits
from dotori.serve.models import Catalog, Served
from dotori.serve.page import read_page
from dotori.serve.service import Service

sys.path.insert(0, str(Path(__file__).parent))

from local_server import KEY, LIMITS, Running

PAGE = {
    "index.html": "<!doctype html><title>page</title><script type=module src=js/main.js></script>",
    "js/main.js": "export const name = '도토리';\n",
    "icon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "notes.unknown": "not served",
    ".hidden.js": "not served",
}


@pytest.fixture(scope="session")
def make_model(random_model, tmp_path_factory):
    """make_model(hidden, layers) -> the file of a random model."""

    def make(hidden: int, layers: int) -> Path:
        oracle = random_model(4096, hidden, layers)
        path = tmp_path_factory.mktemp("served") / "acorn.gguf"
        write_gguf(path, oracle.config, dict(oracle.model.named_parameters()), oracle.tokenizer, "F32", {})
        return path

    return make


@pytest.fixture(scope="session")
def model_file(make_model) -> Path:
    """Some ten thousand tokens a second."""
    return make_model(32, 1)


@pytest.fixture(scope="session")
def slow_model_file(make_model) -> Path:
    """Some hundred tokens a second: its longest answers outlast what a test does beside them."""
    return make_model(512, 4)


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    for name, text in PAGE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "linked.txt").symlink_to("/etc/hostname")
    return folder


@pytest.fixture(scope="session")
def start(model_file, slow_model_file, page_folder):
    """start(limits, key=..., slots=..., ...) as a context manager: a running server in a thread."""

    @contextmanager
    def begin(
        limits: Limits = LIMITS,
        key: str | None = None,
        slots: int = 4,
        queue: int = 64,
        allow_hosts: tuple[str, ...] = (),
        context: int | None = None,
        names: tuple[str, ...] = ("acorn",),
        is_slow: bool = False,
    ) -> Iterator[Running]:
        file = slow_model_file if is_slow else model_file
        models = [Served(name, Engine(Session(file, 1, 0, context), slots, queue)) for name in names]
        service = Service(Catalog(models), limits)
        plug = listening_socket("127.0.0.1", 0)
        port, ready, stops = plug.getsockname()[1], threading.Event(), []
        thread = threading.Thread(
            target=lambda: run_server(service, read_page(page_folder), plug, key, allow_hosts, ready.set, stops.append)
        )
        thread.start()
        assert ready.wait(30)
        running = Running(port, service, stops[0])
        try:
            yield running
        finally:
            for client in running.clients:
                client.close()
            stops[0]()
            thread.join(30)
            assert not thread.is_alive()

    return begin


@pytest.fixture(scope="session")
def server(start) -> Iterator[Running]:
    """The server that most tests share."""
    with start() as running:
        yield running


@pytest.fixture(scope="session")
def locked(start) -> Iterator[Running]:
    """A server that asks for a key."""
    with start(key=KEY) as running:
        yield running


@pytest.fixture
def launched(model_file, tmp_path):
    """launched(*words) -> a `dotori serve` process and the address it prints."""
    with ExitStack() as stack:

        def begin(*words: str) -> tuple[subprocess.Popen, str]:
            command = [sys.executable, "-m", "dotori.cli.main", "serve", str(model_file), "--threads", "1", *words]
            process = stack.enter_context(
                subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
            )
            stack.callback(process.kill)
            line = process.stderr.readline()
            found = re.match(r"(http://\S+)", line)
            assert found, line + process.stderr.read()
            return process, found[1]

        yield begin


@pytest.fixture
def client_at():
    """client_at(address, key) -> an official client, closed at the end."""
    with ExitStack() as stack:
        yield lambda address, key="none": stack.enter_context(
            openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
        )
