"""Minutes in the life of a `dotori serve` process: floods, hostile neighbours, sudden ends; all on loopback."""

import http.client
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from statistics import quantiles

import httpx
import openai
import pytest
from hostile import ENDPOINTS, requests_for
from local_server import until
from test_hostile import SHAPES

from dotori.serve import schema
from dotori.serve.limits import Limits

pytestmark = pytest.mark.slow

ASKED = {"model": "acorn", "prompt": "a", "max_tokens": 4, "temperature": 0, "extra_body": {"ignore_eos": True}}
BODY = json.dumps({key: value for key, value in ASKED.items() if key != "extra_body"} | {"ignore_eos": True})


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def seconds_of(port: int) -> float:
    """How long a new client waits for its whole answer."""
    started = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/v1/completions", BODY, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert json.loads(answer.read())["usage"]["completion_tokens"] == 4
    return time.perf_counter() - started


def p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def dribble(plugs: list[socket.socket]) -> int:
    """Sends one more byte of a header on each; how many the server has closed."""
    closed = 0
    for plug in plugs:
        try:
            plug.send(b"y")
        except BlockingIOError:
            pass
        except OSError:
            closed += 1
    return closed


def test_a_thousand_slow_connections_and_a_neighbour(launched):
    """More than the server holds: the neighbour is answered within a second, and no attacker outlives its deadline."""
    process, address = launched("--port", "0")
    port, limits = port_of(address), Limits()
    seconds_of(port)
    files = f"/proc/{process.pid}/fd"
    before = len(os.listdir(files))
    with ExitStack() as stack:
        plugs = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(1000)]
        opened = time.monotonic()
        for plug in plugs:
            plug.setblocking(False)
            plug.send(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx: ".encode())
        waits = []
        while dribble(plugs) < len(plugs) and time.monotonic() < opened + limits.header_seconds + 5:
            waits.append(seconds_of(port))
            assert len(os.listdir(files)) <= before + limits.connections + 1
            time.sleep(0.2)
        lasted = time.monotonic() - opened
        assert limits.header_seconds - 2 < lasted < limits.header_seconds + 3
        assert len(waits) > 20
        assert max(waits) < 1.0
        assert until(lambda: len(os.listdir(files)) <= before)


def attacks() -> Iterator[tuple[str, bytes]]:
    for path in ENDPOINTS:
        yield from ((path, body) for _, body in requests_for(path, schema.field_names(SHAPES[path])))


def test_hostile_requests_do_not_slow_a_neighbour(launched):
    """Every hostile request, one after another, beside a client that goes on: it hardly waits."""
    _, address = launched("--port", "0")
    port, table = port_of(address), list(attacks())
    at_rest = [seconds_of(port) for _ in range(200)]
    refused: list[float] = []
    failed: list[object] = []

    def attack() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for path, body in table:
                started = time.perf_counter()
                connection.request("POST", path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                refused.append(time.perf_counter() - started)
                if not 400 <= answer.status < 500:
                    failed.append((path, body[:80], answer.status))

    attacker = threading.Thread(target=attack)
    attacker.start()
    waits = []
    while attacker.is_alive():
        waits.append(seconds_of(port))
    attacker.join()
    assert failed == []
    assert len(refused) == len(table)
    # The largest bodies take a fifth of a second to refuse; others get their turns meanwhile.
    assert p99(refused) < 0.1
    assert p99(waits) < 0.25
    assert max(waits) < 1.0
    assert p99([seconds_of(port) for _ in range(200)]) < 2 * p99(at_rest) + 0.05


def read_to_its_end(client: openai.OpenAI, begun: threading.Semaphore, ends: list[str]) -> None:
    """Notes how a stream ends: its reason, "error event" or "cut"."""
    try:
        with client.completions.create(**ASKED | {"max_tokens": 600, "stream": True}) as stream:
            next(iter(stream))
            begun.release()
            ends.append([chunk.choices[0].finish_reason for chunk in stream][-1] or "cut")
    except (openai.APIConnectionError, httpx.TransportError):
        ends.append("cut")
    except openai.APIError:
        ends.append("error event")


def test_ends_and_new_beginnings_on_one_port(launched, client_at):
    """SIGTERM or SIGKILL at some moment of sixteen streams: the next server on the port answers as the first did."""
    chance, port, texts = random.Random(7), "0", []
    for turn in range(6):
        number = (signal.SIGTERM, signal.SIGKILL)[turn % 2]
        started = time.monotonic()
        process, address = launched("--port", port, "--slots", "16")
        port, client = str(port_of(address)), client_at(address)
        texts.append(client.completions.create(**ASKED | {"max_tokens": 50}).choices[0].text)
        assert time.monotonic() - started < 10
        begun, ends = threading.Semaphore(0), []
        readers = [threading.Thread(target=read_to_its_end, args=(client, begun, ends)) for _ in range(16)]
        for reader in readers:
            reader.start()
        for _ in range(16):
            assert begun.acquire(timeout=30)
        time.sleep(chance.random() / 10)
        process.send_signal(number)
        assert process.wait(30) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        for reader in readers:
            reader.join(30)
        assert len(ends) == 16
        assert number == signal.SIGKILL or "cut" not in ends
        assert process.stderr.read() == ""
    assert len(set(texts)) == 1
