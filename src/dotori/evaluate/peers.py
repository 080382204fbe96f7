"""Runtimes side by side on the same model: each alone in a process and driven by lines of JSON, so they can take turns.

ENGINE is `dotori` or `llama.cpp` with a GGUF file, `onnxruntime-genai` with a folder of its builder, or `executorch`
with a .pte file of ours; an engine may live in another interpreter. Prefill: one prompt and the logits of its last
token. Decode: greedy steps after a context that is read before the clock starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dotori.errors import UserError

_ENGINES = Path(__file__).with_name("peer_engines.py")
_CURE = "install the engine (docs/runtime.md tells how) or leave the peer out"


class Peer:
    """A runtime with a loaded model in a process of its own. Use it in a `with` statement."""

    def __init__(
        self, engine: str, model: str | Path, threads: int, context: int, python: str = sys.executable
    ) -> None:
        """Starts the process and loads the model; `context`: positions to hold. Raises UserError where it cannot."""
        self.engine, self.model, self.threads = engine, str(model), threads
        # Settings made for this process, one thread or other waiting, are not the peers'.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
        self._process = subprocess.Popen(
            [python, str(_ENGINES), engine, str(model), str(threads), str(context)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            self.about = self._answer()
        except UserError:
            self.close()
            raise

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"the process ended with {self._process.wait()}"}
        if "error" in answer:
            raise UserError(f"{self.engine}: {answer['error']}; it must run {self.model}; {_CURE}")
        return answer

    def ask(self, name: str, words: dict[str, Any]) -> dict[str, Any]:
        """Sends a command and returns the answer; raises UserError when it failed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": name} | words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def prefill(self, tokens: int) -> float:
        """Seconds for a prompt of `tokens`."""
        return self.ask("prefill", {"tokens": tokens})["seconds"]

    def decode(self, tokens: int, context: int = 0) -> float:
        """Seconds for `tokens` greedy steps after `context` tokens."""
        return self.ask("decode", {"tokens": tokens, "context": context})["seconds"]

    def greedy(self, prompt: list[int], tokens: int) -> tuple[list[int], np.ndarray]:
        """The greedy continuation, and the logits after the prompt as float32 (vocabulary,)."""
        answer = self.ask("greedy", {"prompt": prompt, "tokens": tokens})
        return answer["tokens"], np.array(answer["logits"], np.float32)

    def memory(self) -> dict[str, int]:
        """Bytes of the process: `peak` resident, `anonymous` now, and `before` loading anything."""
        return self.ask("memory", {})

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def compare(peers: dict[str, Peer], prefill: int, decode: int, context: int, rounds: int) -> dict[str, Any]:
    """Tokens per second of all, in turns: the median and the best round of each; with load time and memory."""
    times: dict[str, dict[str, list[float]]] = {name: {"prefill": [], "decode": []} for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            if prefill:
                times[name]["prefill"].append(peer.prefill(prefill))
            if decode:
                times[name]["decode"].append(peer.decode(decode, context))
    counts, table = {"prefill": prefill, "decode": decode}, {}
    for name, peer in peers.items():
        row: dict[str, Any] = {"model": Path(peer.model).name, "threads": peer.threads} | peer.about
        for what, seconds in times[name].items():
            if seconds:
                row[what] = {"median": counts[what] / median(seconds), "best": counts[what] / min(seconds)}
        table[name] = row | {"memory": peer.memory()}
    return table
