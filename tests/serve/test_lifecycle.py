"""Clients that leave, stall or dribble, floods, and the end of a server."""

import json
import os
import signal
import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress

import openai
import pytest
from local_server import KEY, is_idle, quick, read_all, read_answer, until

from dotori.cli.main import main
from dotori.errors import UserError
from dotori.serve.lifecycle import checked_host, is_loopback, listening_socket

LONG = {"model": "acorn", "prompt": "a", "max_tokens": 4000, "stream": True, "ignore_eos": True, "temperature": 0}


def request_bytes(port: int, value: dict, path: str = "/v1/completions") -> bytes:
    body = json.dumps(value).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def connect(running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=30)


def files_and_threads() -> tuple[int, int]:
    """Open files, and threads but for the server's pool, which grows to its size and stays."""
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("dotori-")]
    return len(os.listdir("/proc/self/fd")), len(threads)


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(server, how, stream):
    assert until(lambda: is_idle(server))
    before = files_and_threads()
    engine = next(iter(server.service.catalog)).engine
    for number in range(25):
        with connect(server) as plug:
            plug.sendall(request_bytes(server.port, LONG | {"stream": stream, "seed": number}))
            if stream:
                plug.recv(1 + 37 * number)
            else:
                assert until(lambda: engine.state()["active"] > 0)
            if how == "RST":
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert until(lambda: is_idle(server))
    time.sleep(0.1)
    made = engine.state()["completion_tokens"]
    time.sleep(0.2)
    assert engine.state()["completion_tokens"] == made
    assert until(lambda: files_and_threads() <= before)


def test_clients_that_leave_the_queue(start):
    with start(slots=1, queue=8, is_slow=True) as running, ExitStack() as stack:
        plugs = [stack.enter_context(connect(running)) for _ in range(6)]
        for plug in plugs:
            plug.sendall(request_bytes(running.port, LONG))
        engine = next(iter(running.service.catalog)).engine
        assert until(lambda: engine.state()["waiting"] == 5)
        for plug in plugs:
            plug.close()
        assert until(lambda: is_idle(running))
        assert running.client().completions.create(model="acorn", prompt="a", max_tokens=1).usage.completion_tokens <= 1


def test_a_full_queue_says_when_to_come_back(start):
    with start(slots=1, queue=2, is_slow=True) as running, ExitStack() as stack:
        for _ in range(3):
            plug = stack.enter_context(connect(running))
            plug.sendall(request_bytes(running.port, LONG))
            plug.recv(10)
        for stream in (True, False):
            with pytest.raises(openai.RateLimitError) as caught:
                running.client().completions.create(model="acorn", prompt="a", stream=stream)
            assert caught.value.code == "queue_full"
            assert int(caught.value.response.headers["retry-after"]) >= 1
        # Of several choices none stays behind when one finds no room.
        with pytest.raises(openai.RateLimitError):
            running.client().completions.create(model="acorn", prompt="a", n=4)
        with running.http() as client:
            assert "dotori_engine_waiting" in client.get("/metrics").text


def test_a_reader_that_stalls_is_cut(start):
    with start(quick(stall_seconds=0.4, buffer_bytes=20_000)) as running, connect(running) as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        asked = LONG | {"n": 4, "logprobs": 5}
        plug.sendall(request_bytes(running.port, asked))
        assert until(lambda: not is_idle(running))
        assert until(lambda: is_idle(running))
        assert b"[DONE]" not in read_all(plug)


def test_headers_and_bodies_have_deadlines(start):
    limits = quick(header_seconds=0.5, body_seconds=0.5)
    with start(limits) as running:
        own = f"Host: 127.0.0.1:{running.port}\r\n"
        for begun in (b"", b"GET", f"GET /health HTTP/1.1\r\n{own}".encode()):
            with connect(running) as plug:
                plug.sendall(begun)
                assert read_all(plug) == b""
        with connect(running) as plug:  # a second request on the same connection
            plug.sendall(f"GET /health HTTP/1.1\r\n{own}\r\n".encode())
            assert read_answer(plug).startswith(b"HTTP/1.1 200")
            plug.sendall(b"GET /health HT")
            assert read_all(plug) == b""
        head = f"POST /v1/completions HTTP/1.1\r\n{own}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        with connect(running) as plug:
            plug.sendall(head.encode() + b"{")
            answer = read_all(plug)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"code":"timeout"' in answer


def test_a_stream_may_take_longer_than_the_deadlines(start):
    limits = quick(header_seconds=0.3, body_seconds=0.3, heartbeat_seconds=0.1)
    with start(limits, slots=1, is_slow=True) as running, ExitStack() as stack:
        first = stack.enter_context(connect(running))
        first.sendall(request_bytes(running.port, LONG))
        first.recv(10)
        waiting = running.client().completions.create(model="acorn", prompt="b", max_tokens=2, stream=True)
        time.sleep(0.6)
        first.close()
        assert [chunk.choices[0].finish_reason for chunk in waiting][-1] in ("stop", "length")


def test_dribbled_headers_do_not_outlast_the_deadline(start):
    with start(quick(header_seconds=0.5)) as running, connect(running) as plug:
        with suppress(ConnectionError):
            for byte in b"GET /health HTTP/1.1\r\nx: " + b"y" * 1000:
                plug.sendall(bytes([byte]))
                time.sleep(0.01)
        assert read_all(plug) == b""
        assert until(lambda: running.service.metrics.dropped_connections == 1)


def test_idle_connections_make_room(start):
    with start(quick(connections=16)) as running, ExitStack() as stack:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(100):
            stack.enter_context(connect(running))
        with running.http() as client:
            for _ in range(5):
                assert client.get("/health").status_code == 200
        assert running.service.metrics.dropped_connections >= 80
        stack.close()
        assert until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_busy_connections_do_not(start):
    with start(quick(connections=16), queue=64, is_slow=True) as running, ExitStack() as stack:
        for _ in range(16):
            plug = stack.enter_context(connect(running))
            plug.sendall(request_bytes(running.port, LONG))
            plug.recv(10)
        answer = running.raw(request_bytes(running.port, LONG))
        assert answer == b"" or (answer.startswith(b"HTTP/1.1 503") and b"too many connections" in answer)


def test_too_many_requests_at_once(start):
    with start(quick(requests=4), is_slow=True) as running, ExitStack() as stack:
        for _ in range(4):
            plug = stack.enter_context(connect(running))
            plug.sendall(request_bytes(running.port, LONG))
            plug.recv(10)
        with pytest.raises(openai.InternalServerError) as caught:
            running.client().models.list()
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "1"
        with running.http() as client:
            assert client.get("/health").status_code == 200


def test_draining(start):
    """Readiness is gone at once, new requests get 503, a stream goes on and then ends with an error event."""
    with start(quick(drain_seconds=1.0), is_slow=True) as running, connect(running) as plug:
        plug.sendall(request_bytes(running.port, LONG | {"max_tokens": 4000, "n": 4}))
        plug.recv(10)
        with running.http() as client:
            assert client.get("/health").json() == {"status": "ok"}
            running.stop()
            assert until(lambda: running.service.is_draining)
            answer = client.get("/health")
            assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
            answer = client.post("/v1/completions", json=LONG)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "stopping"
            assert "retry-after" in answer.headers
        end = read_all(plug)
        assert b'data: {"error":{"message":"server: the server is closing' in end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order(launched, client_at, number):
    process, address = launched("--port", "0")
    client = client_at(address)
    asked = {"model": "acorn", "prompt": "a", "extra_body": {"ignore_eos": True}, "stream": True}
    streams = [client.completions.create(max_tokens=400, **asked) for _ in range(4)]
    first = [next(stream) for stream in streams]
    process.send_signal(number)
    ends = [list(stream)[-1].choices[0].finish_reason for stream in streams]
    assert len(first) == 4
    assert ends == ["length"] * 4
    assert process.wait(30) == 0
    assert process.stderr.read() == ""


def test_a_second_signal_ends_it_at_once_and_quietly(launched, client_at):
    process, address = launched("--port", "0")
    asked = {"model": "acorn", "prompt": "a", "extra_body": {"ignore_eos": True}, "stream": True}
    streams = [client_at(address).completions.create(max_tokens=4000, **asked) for _ in range(4)]
    for stream in streams:
        next(stream)
    process.send_signal(signal.SIGINT)
    with suppress(openai.APIError):  # readiness is gone once the first signal is seen
        client_at(address).models.list()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""
    for stream in streams:
        stream.close()


def test_a_killed_server_starts_again_on_its_port(launched, client_at):
    process, address = launched("--port", "0")
    port = address.rpartition(":")[2]
    process.kill()
    process.wait()
    _, address = launched("--port", port)
    assert client_at(address).models.list().data[0].id == "acorn"


def test_ports_and_hosts(server, model_file, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("DOTORI_API_KEY", raising=False)
    words = ["serve", str(model_file), "--threads", "1"]
    assert main([*words, "--port", str(server.port)]) == 65
    assert "choose another with --port" in capsys.readouterr().err
    for port in (-1, 65536, 10**9):
        with pytest.raises(UserError, match=rf"^port: {port}; 0 to 65535, 0 takes a free one; choose another"):
            listening_socket("127.0.0.1", port)
    for flag, value, rule in [
        ("--slots", 0, "1 to 256"),
        ("--slots", 257, "1 to 256"),
        ("--queue", 0, "1 to 65536"),
        ("--queue", 10**9, "1 to 65536"),
        ("--threads", 1025, "1 to 1024"),
        ("--allow-host", "https://acorn.local", "a name as it stands in an address"),
        ("--allow-host", "a b", "a name as it stands in an address"),
        ("--allow-host", "도토리.한국", "a name as it stands in an address"),
    ]:
        assert main([*words[:2], flag, str(value), "--port", "0"]) == 65
        assert rule in capsys.readouterr().err
    with pytest.raises(UserError, match="host"):
        listening_socket("203.0.113.7", 0)
    for host in ("0.0.0.0", "::", "192.168.0.1"):
        assert main([*words, "--host", host]) == 77
        assert "without a key" in capsys.readouterr().err
    for host in ("example.com", "localhost.example", "", "127.0.0.1/8"):
        with pytest.raises(UserError, match="host"):
            checked_host(host)
    assert is_loopback(checked_host("localhost"))
    assert is_loopback("::1")
    key = tmp_path / "key"
    for text in ("short", "", "k" * 7, "has a blank in it", "열쇠" * 8):
        key.write_text(text)
        assert main([*words, "--api-key-file", str(key)]) == 65
        assert text not in capsys.readouterr().err or not text
    assert main([*words, "--api-key-file", str(tmp_path / "nothing")]) == 65


def test_models_by_name(start, model_file, capsys):
    with start(names=("acorn", "도토리")) as running:
        client = running.client()
        assert [model.id for model in client.models.list()] == ["acorn", "도토리"]
        assert client.models.retrieve("도토리").id == "도토리"
        for name in ("acorn", "도토리"):
            assert client.completions.create(model=name, prompt="a", max_tokens=1).model == name
    assert main(["serve", str(model_file), str(model_file), "--port", "0"]) == 65
    assert "twice" in capsys.readouterr().err
    assert main(["serve", f"../x={model_file}", "--port", "0"]) == 65
    assert "model name" in capsys.readouterr().err


def test_the_key_comes_from_the_environment_or_a_file(launched, client_at, monkeypatch, tmp_path):
    monkeypatch.setenv("DOTORI_API_KEY", KEY)
    _, address = launched("--port", "0")
    with pytest.raises(openai.AuthenticationError):
        client_at(address, "wrong").models.list()
    assert client_at(address, KEY).models.list().data


@pytest.mark.slow
def test_slow_attackers_do_not_hold_up_others(start):
    """200 connections at one byte at a time beside a client that goes on working; all end at their deadline."""
    with start(quick(header_seconds=2.0, body_seconds=3.0, connections=400)) as running, ExitStack() as stack:
        before = files_and_threads()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n"
        bodies = f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode()
        plugs = [stack.enter_context(connect(running)) for _ in range(200)]
        for number, plug in enumerate(plugs):
            plug.sendall(bodies if number % 2 else b"GET ")
        client, ended = running.client(), time.monotonic() + 8
        while time.monotonic() < ended:
            for plug in plugs:
                with suppress(OSError):
                    plug.sendall(b" ")
            assert client.completions.create(model="acorn", prompt="a", max_tokens=3).usage
        assert until(lambda: running.service.active == 0)
        for plug in plugs:
            assert b" 200 " not in read_all(plug)
        stack.close()
        client.close()
        assert until(lambda: files_and_threads() <= before)


@pytest.mark.slow
def test_hundreds_of_clients_leave_at_any_token(server):
    assert until(lambda: is_idle(server))
    before = files_and_threads()
    for number in range(300):
        with connect(server) as plug:
            plug.sendall(request_bytes(server.port, LONG | {"stream": number % 3 > 0, "seed": number}))
            plug.settimeout(0.001 * (number % 40))
            with suppress(OSError):
                plug.recv(4096)
    assert until(lambda: is_idle(server))
    assert until(lambda: files_and_threads() <= before)
