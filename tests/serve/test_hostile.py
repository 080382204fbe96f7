"""Whatever is sent, the answer is 4xx in OpenAI's shape, and the next request is answered as before."""

import ctypes
import gc
import http.client
import json
import time
from contextlib import closing, suppress

import pytest
from hostile import ENDPOINTS, requests_for
from local_server import is_idle, until

from dotori.serve import schema
from dotori.serve.schema_responses import ResponsesRequest

SHAPES = {
    "/v1/chat/completions": schema.ChatRequest,
    "/v1/completions": schema.CompletionRequest,
    "/v1/embeddings": schema.EmbeddingRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/rerank": schema.RerankRequest,
}


def connect(server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)


def post(connection: http.client.HTTPConnection, path: str, body: bytes, kind="application/json"):
    connection.request("POST", path, body, {"content-type": kind})
    answer = connection.getresponse()
    return answer, answer.read()


def is_refused(answer, body: bytes) -> bool:
    """4xx, and an error in the shape that clients read."""
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert isinstance(error["code"], str)
    assert len(error["message"]) < 2000
    assert answer.getheader("content-type") == "application/json"
    return 400 <= answer.status < 500


@pytest.mark.parametrize("path", ENDPOINTS)
def test_hostile_requests_are_refused(server, path):
    table = list(requests_for(path, schema.field_names(SHAPES[path])))
    assert len(table) >= 250
    taken = []
    with closing(connect(server)) as connection:
        for name, body in table:
            answer, found = post(connection, path, body)
            if not is_refused(answer, found):
                taken.append((name, answer.status, found[:100]))
        assert not taken
        answer, found = post(connection, path, json.dumps(ENDPOINTS[path][0]).encode())
    assert answer.status == 200, found
    assert until(lambda: is_idle(server))


def test_errors_name_the_field_and_what_is_allowed(server):
    base = ENDPOINTS["/v1/chat/completions"][0]
    cases = [
        ({"temprature": 1}, "temprature", "unknown_parameter", "did you mean 'temperature'?"),
        ({"n": 9}, "n", "invalid_value", "less than or equal to 4"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_value", ""),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter", "required"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "unsupported_value", "not supported here"),
        ({"model": "gpt-4o"}, "model", "model_not_found", "served here: acorn"),
        ({"messages": [{"role": "user", "content": "\0"}]}, "messages", "invalid_value", "NUL"),
    ]
    with server.http() as client:
        for change, param, code, words in cases:
            error = client.post("/v1/chat/completions", json=base | change).json()["error"]
            assert (error["param"], error["code"]) == (param, code), error
            assert words in error["message"]


def test_a_body_of_50_megabytes(server):
    with server.http() as client:
        for path in ENDPOINTS:
            answer = client.post(path, content=b" " * 50_000_000, headers={"content-type": "application/json"})
            assert answer.status_code == 413
            assert answer.json()["error"]["code"] == "body_too_large"
    assert until(lambda: server.service.body_bytes == 0)


def test_a_chunked_body_without_end_is_cut(server):
    def pieces():
        while True:
            yield b"[" * 65536

    with server.http() as client, pytest.raises(Exception) as caught:
        answer = client.post("/v1/completions", content=pieces(), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        raise RuntimeError("413")
    assert caught.type.__name__ in ("RuntimeError", "WriteError", "ReadError", "RemoteProtocolError")


@pytest.mark.parametrize(
    "body",
    [
        b"garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello",
        b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    ],
)
def test_what_is_no_http_gets_400(server, body):
    answer = server.raw(body)
    if answer:  # a reset may swallow it
        assert answer.startswith(b"HTTP/1.1 4")
        assert b'{"error": {"message"' in answer or b'{"error":{"message"' in answer


def test_refusals_are_quick_beside_a_stream(server):
    """No stall for a neighbour: a stream goes on while the worst requests are refused."""
    with server.http() as client, server.http() as attacker:
        asked = {"model": "acorn", "prompt": "a", "max_tokens": 4000, "ignore_eos": True, "stream": True}
        with client.stream("POST", "/v1/completions", json=asked) as stream:
            lines = stream.iter_lines()
            next(lines)
            for path in ("/v1/chat/completions", "/v1/completions"):
                for name, body in requests_for(path, schema.field_names(SHAPES[path])):
                    if name.startswith(("deep", "many", "messages 4", "response_format 4", "prompt 2")):
                        attacker.post(path, content=body, headers={"content-type": "application/json"})
                        next(lines)


@pytest.mark.slow
def test_memory_stays_flat_under_abuse(server):
    def rss() -> int:
        """Resident KiB in use: what the C library keeps of freed blocks, which swings, is given back first."""
        gc.collect()
        with suppress(AttributeError):  # glibc's alone
            ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    tables = [(path, list(requests_for(path, schema.field_names(SHAPES[path])))) for path in ENDPOINTS]
    sizes = []
    with closing(connect(server)) as connection:
        for _ in range(3):
            for path, table in tables:
                for _, body in table:
                    post(connection, path, body)
            time.sleep(1)
            sizes.append(rss())
    assert sizes[-1] - sizes[1] <= 32 << 10
