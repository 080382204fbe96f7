"""How fast the native runtime is beside llama.cpp and onnxruntime-genai: the same files, in turns, in one run.

    python benchmarks/runtime.py [--models FOLDER] [--onnx ENGINE_PYTHON] [--only NAME ...] [--rounds 5]

Makes random-weight files of published shapes in FOLDER where they are missing (15 GB in all); llama.cpp takes part when
the `peer` extra is installed. Each row is a file, a
number of threads and a context; both engines run in processes of their own and take turns, and the figures are medians
of the rounds. `share` is the bytes of weights that a token reads, times tokens per second, over the bandwidth that this
machine shows before and after the row. Results go to results/runtime.json row by row.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from measure import RESULTS, machine, write
from random_gguf import make

from dotori.evaluate.peers import Peer, compare
from dotori.evaluate.speed import bytes_touched
from dotori.runtime.batch import Batch, Turn
from dotori.runtime.doctor import bandwidth
from dotori.runtime.session import Session

HAS_LLAMA_CPP = find_spec("llama_cpp") is not None


class Row(NamedTuple):
    """What is run: a shape and type of random_gguf, threads, and tokens of prompt, steps and context."""

    preset: str
    kind: str
    threads: int
    prefill: int = 512
    decode: int = 64
    context: int = 0
    window: int = 0

    @property
    def name(self) -> str:
        at = f" at {self.context}" if self.context else ""
        return f"{self.preset} {self.kind}{at}, {self.threads} thread{'s' if self.threads > 1 else ''}"


BATCHES, STEPS = (1, 2, 4, 8), 20  # texts in a step, steps timed together
SMALL, LARGE, MIXED = "dense-100m", "llama-1.2b", "smallthinker-4b"
ROWS = [
    *(Row(SMALL, kind, threads, decode=128) for kind in ("Q4_0", "Q8_0", "F16", "Q4_K", "Q6_K") for threads in (2, 1)),
    *(Row(LARGE, "Q4_0", threads, decode=32) for threads in (2, 1)),
    *(Row(LARGE, kind, 2, decode=24) for kind in ("Q8_0", "F16", "Q4_K", "Q6_K")),
    *(Row(MIXED, "Q4_0", threads, decode=32) for threads in (2, 1)),
    *(Row(SMALL, "Q4_0", 2, prefill=0, decode=64, context=context) for context in (4096, 16384)),
]


def measure(row: Row, models: Path, onnx_python: str | None, rounds: int) -> dict[str, Any]:
    """One row's figures."""
    path = models / f"{row.preset}-{row.kind}.gguf"
    if not path.exists():
        make(path, row.preset, row.kind)
    limit = bandwidth(row.threads)
    held = max(row.prefill, row.context + row.decode) + 8
    engines = {"dotori": (path, sys.executable)}
    if HAS_LLAMA_CPP:
        engines["llama.cpp"] = (path, sys.executable)
    onnx = models / f"oga-{row.preset}"
    if onnx_python and onnx.exists() and row.kind == "Q4_0" and not row.context:
        engines["onnxruntime-genai"] = (onnx, onnx_python)
    with ExitStack() as stack:
        peers = {
            name: stack.enter_context(Peer(name, model, row.threads, held, python))
            for name, (model, python) in engines.items()
        }
        table = compare(peers, row.prefill, row.decode, row.context, rounds)
    ours = table["dotori"]
    result: dict[str, Any] = {"row": row.name, "file_bytes": path.stat().st_size, "engines": table}
    for name in list(engines)[1:]:
        for what in ("decode", "prefill"):
            if what in ours:
                result[f"{what} over {name}"] = round(ours[what]["median"] / table[name][what]["median"], 3)
    result["bytes_per_token"] = bytes_per_token(path, row.threads)
    limit = max(limit, bandwidth(row.threads))  # the host has calmer and busier moments
    result["bandwidth_bytes_per_second"] = limit
    result["share"] = round(result["bytes_per_token"] * ours["decode"]["median"] / limit, 3)
    return result


def bytes_per_token(path: Path, threads: int) -> int:
    """Weight bytes that a step reads."""
    session = Session(path, threads)
    session.bench_decode(4)
    return sum(bytes_touched(session).values())


def first_token(models: Path, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds from opening a file to the token after a prompt of 32, the file in the page cache; 2 threads."""
    rows = []
    for preset in (SMALL, LARGE):
        path = models / f"{preset}-Q4_0.gguf"
        times: dict[str, list[float]] = {"dotori": []} | ({"llama.cpp": []} if HAS_LLAMA_CPP else {})
        for _ in range(rounds):
            for name, found in times.items():
                with Peer(name, path, 2, 64) as peer:
                    found.append(peer.about["load_seconds"] + peer.prefill(32))
        rows.append(
            {"row": f"{preset} Q4_0", "dotori without imports": 1e3 * median(opened(path) for _ in range(rounds))}
            | {name: 1e3 * median(found) for name, found in times.items()}
        )
    return rows


def opened(path: Path) -> float:
    """Seconds from opening a file to the token after a prompt of 32, in this process."""
    begun = time.perf_counter()
    Session(path, 2, context=64).bench_prefill(32)
    return time.perf_counter() - begun


def small_batches(path: Path, rounds: int) -> dict[str, Any]:
    """What a step of several texts' tokens costs, in steps of one: servers and prompt lookup live off it. 2 threads."""
    session, seconds = Session(path, threads=2, context=256), {}
    batch = Batch(session, max(BATCHES))
    for _ in range(rounds):
        for count in BATCHES:
            for slot in range(count):
                batch.begin_anew(slot)
            begun = time.perf_counter()
            for _ in range(STEPS):
                batch.step([Turn(slot, [slot + 1], True) for slot in range(count)])
            seconds.setdefault(count, []).append((time.perf_counter() - begun) / STEPS)
    one = median(seconds[1])
    return {"row": path.name} | {str(count): round(median(found) / one, 2) for count, found in seconds.items()}


def operations(path: Path) -> dict[str, Any]:
    """Megabytes and microseconds of a token by operation, 2 threads, and each one's share of the bandwidth."""
    session = Session(path, threads=2)
    limit, tokens = bandwidth(2), 32
    session.bench_decode(tokens)
    profile, touched = session.profile, bytes_touched(session)
    rows = {
        name: {
            "megabytes": round(touched.get(name, 0) / 1e6, 1),
            "microseconds": round(1e6 * profile[name] / profile["calls"], 1),
        }
        for name in ("qkv", "attention", "output", "gate_up", "down", "experts", "head", "rest")
    }
    for row in rows.values():
        if row["megabytes"] and row["microseconds"]:
            row["share"] = round(row["megabytes"] * 1e12 / row["microseconds"] / limit, 2)
    return {"row": path.name, "operations": rows}


def lookup(model: Path, tokens: int) -> dict[str, Any]:
    """Plain greedy decoding against prompt lookup on a model's own continuation of a text that repeats itself."""
    session, seconds, found = Session(model, threads=2), {}, []
    line = session.tokenize(" 다람쥐가 숲에 도토리를 숨겼어요. The squirrel hid an acorn in the forest.")
    ids = ([session.bos_id] if session.bos_id is not None else []) + line * 4
    tokens = min(tokens, session.context - len(ids))
    for name in ("plain", "lookup", "plain", "lookup", "plain", "lookup"):
        begun = time.perf_counter()
        found.append(list(session.generate(ids, tokens, ignore_eos=True, lookup=name == "lookup")))
        seconds[name] = min(seconds.get(name, 1e9), time.perf_counter() - begun)
    return {"row": model.name, "ratio": seconds["plain"] / seconds["lookup"], "same": found[0] == found[1]}


def main() -> None:
    """Runs the rows and keeps results/runtime.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("build/models"))
    parser.add_argument("--onnx", metavar="PYTHON", help="interpreter with onnxruntime-genai; models in oga-PRESET")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="rows whose name holds one of these; others stay")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], help="trained files for prompt lookup")
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    words.models.mkdir(parents=True, exist_ok=True)
    kept = json.loads((RESULTS / "runtime.json").read_text()) if words.only else {"rows": []}
    result: dict[str, Any] = kept | {"machine": machine()}
    for row in ROWS:
        if words.only and not any(text in row.name for text in words.only):
            continue
        result["rows"] = [old for old in result["rows"] if old["row"] != row.name]
        print(row.name, file=sys.stderr, flush=True)
        rounds = min(words.rounds, 3) if row.context else words.rounds
        result["rows"].append(measure(row, words.models, words.onnx, rounds))
        write("runtime", result)
    result["first_token_ms"] = first_token(words.models, words.rounds)
    both = [words.models / f"{preset}-Q4_0.gguf" for preset in (SMALL, LARGE)]
    result["operations"] = [operations(path) for path in [*both, words.models / f"{MIXED}-Q4_0.gguf"]]
    result["small_batches"] = [small_batches(path, words.rounds) for path in [*both, *words.trained]]
    result["lookup"] = [lookup(path, 200) for path in [words.models / f"{SMALL}-Q4_0.gguf", *words.trained]]
    write("runtime", result)


if __name__ == "__main__":
    main()
