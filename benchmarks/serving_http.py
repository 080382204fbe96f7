"""What HTTP costs: streams of a `dotori serve` on loopback against the bare session, on the same file.

    python benchmarks/serving_http.py MODEL.gguf [--threads 2] [--tokens 128] [--requests 2000] [--clients 64]

First byte of the text and time per token, medians over --rounds in turns; then --clients at once, none lost and all
equal to solo runs; then the growth of memory over --requests. The model's ids must have text (not a random vocabulary).
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dotori.runtime.open import open_gguf


def streamed(port: int, prompt: list[int], tokens: int) -> tuple[float, float, str]:
    """(seconds to the first text, seconds in all, text) of one stream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    asked = {"model": "m", "prompt": prompt, "max_tokens": tokens, "temperature": 0}
    asked |= {"stream": True, "ignore_eos": True}
    start, first, text = time.perf_counter(), 0.0, ""
    connection.request("POST", "/v1/completions", json.dumps(asked), {"content-type": "application/json"})
    answer = connection.getresponse()
    while (line := answer.readline()) != b"data: [DONE]\n":
        if line.startswith(b"data: "):
            text += json.loads(line[6:])["choices"][0]["text"]
            first = first or time.perf_counter() - start
    seconds = time.perf_counter() - start
    connection.close()
    return first, seconds, text


def alone(session, prompt: list[int], tokens: int) -> tuple[float, float]:
    """The same of the bare session."""
    start = time.perf_counter()
    ids = session.generate(prompt, tokens, ignore_eos=True)
    next(ids)
    first = time.perf_counter() - start
    for _ in ids:
        pass
    return first, time.perf_counter() - start


def resident(process: int) -> int:
    """Bytes of memory that a process has in use."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


@contextmanager
def server(model: Path, threads: int) -> Iterator[tuple[int, int]]:
    """(process id, port) of a `dotori serve` of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["serve", f"m={model}", "--port", str(port), "--threads", str(threads), "--queue", "256"]
    with subprocess.Popen([sys.executable, "-m", "dotori.cli.main", *words], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()  # it says so when it listens
        try:
            yield process.pid, port
        finally:
            process.terminate()


def stream_cost(options: argparse.Namespace, port: int, session, length: int) -> dict:
    """First text and time per token after prompts of `length` ids, served and bare in turns."""
    count = 2 * options.rounds + 2
    prompts = [[(7 * i + 131 * n + length) % session.vocab_size for i in range(length)] for n in range(count)]
    streamed(port, prompts[-1], 4)
    alone(session, prompts[-2], 4)
    served, bare = [], []
    for number in range(options.rounds):
        served.append(streamed(port, prompts[2 * number], options.tokens))
        bare.append(alone(session, prompts[2 * number + 1], options.tokens))
    first = [statistics.median(row[0] for row in rows) for rows in (served, bare)]
    each = [statistics.median((row[1] - row[0]) / (options.tokens - 1) for row in rows) for rows in (served, bare)]
    return {
        "first_text_ms": round(1e3 * first[0], 3),
        "first_text_ms_bare": round(1e3 * first[1], 3),
        "first_text_ratio": round(first[0] / first[1], 3),
        "token_ms": round(1e3 * each[0], 4),
        "token_ms_bare": round(1e3 * each[1], 4),
        "token_overhead_ms": round(1e3 * (each[0] - each[1]), 4),
    }


def measure(options: argparse.Namespace, process: int, port: int, session) -> dict:
    """All three figures."""
    many = [[(11 * i + 17 * n + 3) % session.vocab_size for i in range(16)] for n in range(options.clients)]
    solo = [streamed(port, prompt, 24)[2] for prompt in many]
    with ThreadPoolExecutor(options.clients) as pool:
        together = list(pool.map(lambda prompt: streamed(port, prompt, 24)[2], many))
    streams = {str(length): stream_cost(options, port, session, length) for length in options.prompt}
    for number in range(200):
        streamed(port, many[number % len(many)], 4)
    before = resident(process)
    for number in range(options.requests):
        streamed(port, many[number % len(many)], 4)
    return {
        "prompt_tokens": streams,
        "clients": options.clients,
        "clients_equal_to_solo": sum(a == b for a, b in zip(solo, together, strict=True)),
        "requests": options.requests,
        "memory_growth_bytes": resident(process) - before,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompt", type=int, nargs="+", default=[64, 256, 1024], help="ids")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    session = open_gguf(options.model, options.threads)
    with server(options.model, options.threads) as (process, port):
        report = measure(options, process, port, session)
    text = json.dumps({"file": options.model.name, "threads": options.threads} | report, indent=2)
    print(text)
    if options.out:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        known[f"http {options.model.name} {options.threads} threads"] = json.loads(text)
        options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
