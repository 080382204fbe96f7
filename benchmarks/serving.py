"""What serving many costs and gains: the engine against a session alone, on the same file in the same run.

    python benchmarks/serving.py MODEL.gguf [--threads 2] [--tokens 128] [--out benchmarks/results/serving.json]

For 1, 2, 4 and 8 clients at once, alternating with a bare session: tokens a second of all together, and the first
token's delay; medians over --rounds. Answers are checked against the session's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

from dotori.model.sampling import Sampling
from dotori.runtime.open import open_gguf
from dotori.serve.engine import Engine, Finish, Request

CLIENTS = (1, 2, 4, 8)


def prompt_of(client: int, length: int, vocab: int) -> tuple[int, ...]:
    """Ids that no two clients share."""
    return tuple((7 * index + 131 * client + 1) % vocab for index in range(length))


def served(engine: Engine, requests: list[Request]) -> tuple[float, float, int]:
    """Seconds for all, the median delay of the first token, and tokens made."""
    finishes: list[Finish] = []
    done = threading.Semaphore(0)

    def deliver(event) -> None:
        if isinstance(event, Finish):
            finishes.append(event)
            done.release()

    start = time.perf_counter()
    for request in requests:
        engine.submit(request, deliver)
    for _ in requests:
        done.acquire()
    seconds = time.perf_counter() - start
    first = statistics.median(finish.seconds_to_first for finish in finishes)
    return seconds, first, sum(finish.completion_tokens for finish in finishes)


def alone(session, request: Request) -> tuple[float, float]:
    """Seconds and first token's delay of the bare session."""
    start = time.perf_counter()
    ids = session.generate(request.prompt, request.max_tokens, ignore_eos=True)
    next(ids)
    first = time.perf_counter() - start
    for _ in ids:
        pass
    return time.perf_counter() - start, first


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=32, help="ids in a prompt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    session = open_gguf(options.model, threads=options.threads, context=2048)
    engine = Engine(session, slots=max(CLIENTS))
    rows: dict[int, list[tuple[float, float]]] = {count: [] for count in CLIENTS}
    bare: list[tuple[float, float]] = []
    for turn in range(options.rounds + 1):
        fresh = 1000 * turn  # prompts that no slot has read
        request = Request(
            prompt_of(fresh, options.prompt, session.vocab_size), options.tokens, Sampling(), ignore_eos=True
        )
        seconds, first = alone(session, request)
        bare.append((options.tokens / seconds, first))
        for count in CLIENTS:
            requests = [
                Request(
                    prompt_of(fresh + 10 * count + client, options.prompt, session.vocab_size),
                    options.tokens,
                    Sampling(),
                    ignore_eos=True,
                )
                for client in range(count)
            ]
            seconds, first, tokens = served(engine, requests)
            rows[count].append((tokens / seconds, first))
    engine.close()
    median = {
        count: [statistics.median(values) for values in zip(*found[1:], strict=True)] for count, found in rows.items()
    }
    rate, first = (statistics.median(values) for values in zip(*bare[1:], strict=True))
    result = {
        "model": Path(options.model).name,
        "threads": options.threads,
        "prompt": options.prompt,
        "tokens": options.tokens,
        "bare_tokens_per_second": rate,
        "bare_first_token_seconds": first,
        "clients": {
            count: {
                "tokens_per_second": speed,
                "ratio_to_one_client": speed / median[1][0],
                "ratio_to_bare": speed / rate,
                "first_token_seconds": delay,
            }
            for count, (speed, delay) in median.items()
        },
    }
    print(json.dumps(result, indent=1))
    if options.out:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        known[f"engine {result['model']}"] = result
        options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
