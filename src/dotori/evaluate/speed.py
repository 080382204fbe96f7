"""How fast a GGUF file runs on the native core, and how near that is to what this machine's memory allows."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from dotori.evaluate.peers import Peer, compare
from dotori.runlog import RunLog
from dotori.runtime.doctor import bandwidth
from dotori.runtime.open import open_gguf
from dotori.runtime.session import Session

PROMPT_TOKENS, FIRST_PROMPT_TOKENS, REPEATS = 512, 32, 5


def measure_speed(
    path: Path,
    threads: int | None,
    tokens: int,
    memory: int | None,
    log: RunLog,
    peer: str | None = None,
    peer_model: Path | None = None,
    peer_python: str = sys.executable,
) -> dict[str, Any]:
    """The figures of `dotori bench`: medians over `REPEATS` runs. Raises UserError.

    `peer`: another engine (`dotori.evaluate.peers`) that runs in turns with ours on the same file, or on `peer_model`
    where it has a format of its own, in the interpreter `peer_python`; ratios are ours over theirs. Time to first token
    begins before the file is opened and ends with the token after a prompt of 32; peak memory is this process's.
    """
    begun = time.perf_counter()
    session = open_gguf(path, threads, memory)
    opened = time.perf_counter() - begun
    first = opened + session.bench_prefill(min(FIRST_PROMPT_TOKENS, session.context - 1))
    tokens = min(tokens, session.context - 2)
    prompt = min(PROMPT_TOKENS, session.context - 1)
    log.say(f"{session.path.name}: {session.threads} threads, {session.isa}; {REPEATS} runs of {tokens} tokens")
    prefill, decode, profiles = [], [], []
    for _ in range(REPEATS):
        prefill.append(prompt / session.bench_prefill(prompt))
        decode.append(tokens / session.bench_decode(tokens))
        profiles.append(session.profile)
    beside = _beside(session, peer, peer_model, peer_python, tokens, prompt, log) if peer else {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    limit = bandwidth(session.threads)
    operations = _operations(bytes_touched(session), profiles[decode.index(sorted(decode)[REPEATS // 2])], limit)
    touched = sum(row["bytes"] for row in operations)
    return {
        "decode_tokens_per_second": median(decode),
        "prefill_tokens_per_second": median(prefill),
        "time_to_first_token_ms": 1e3 * first,
        "open_ms": 1e3 * opened,
        "peak_memory_bytes": peak,
        "weight_bytes": session.sizes["weight_bytes"],
        "bytes_per_token": touched,
        "bandwidth_bytes_per_second": limit,
        "bandwidth_share": median(decode) * touched / limit,
        "decode_ratio": None,
        "prefill_ratio": None,
        "expert_hit_rate": None,
        "stall_ms_per_token": None,
        "neuron_sparsity": _sparsity(profiles[0]),
        "threads": session.threads,
        "isa": session.isa,
        "prompt_tokens": prompt,
        "decoded_tokens": tokens,
        "operations": operations,
    } | beside


def _beside(
    session: Session, peer: str, model: Path | None, python: str, tokens: int, prompt: int, log: RunLog
) -> dict[str, Any]:
    """Both engines, each in a process of its own, in turns."""
    held = max(prompt, tokens) + 8
    log.say(f"{peer}: in turns with ours, {REPEATS} times")
    with (
        Peer("dotori", session.path, session.threads, min(held, session.context)) as ours,
        Peer(peer, model or session.path, session.threads, held, python) as theirs,
    ):
        table = compare({"dotori": ours, peer: theirs}, prompt, tokens, 0, REPEATS)
    mine, other = table["dotori"], table[peer]
    return {
        "peer": peer,
        "peer_version": other["about"],
        "decode_ratio": mine["decode"]["median"] / other["decode"]["median"],
        "prefill_ratio": mine["prefill"]["median"] / other["prefill"]["median"],
        "peer_decode_tokens_per_second": other["decode"]["median"],
        "peer_prefill_tokens_per_second": other["prefill"]["median"],
        "peer_peak_memory_bytes": other["memory"]["peak"],
    }


def _sparsity(profile: dict[str, Any]) -> float | None:
    return 1 - profile["active_neurons"] / profile["neurons"] if profile["neurons"] else None


def bytes_touched(session: Session) -> dict[str, int]:
    """Weight bytes a token of the latest `bench_decode` read, by operation; experts with their active neurons alone."""
    sizes, profile = dict(session.bytes_read), session.profile
    if profile["neurons"]:
        # The gate is read whole, up and down of active neurons alone; the three are of one size.
        sizes["experts"] = round(sizes["experts"] * (1 + 2 * profile["active_neurons"] / profile["neurons"]) / 3)
    return sizes


def _operations(sizes: dict[str, int], profile: dict[str, Any], limit: float) -> list[dict[str, Any]]:
    """A row an operation: weight bytes and microseconds a token, and the share of the bandwidth it reaches."""
    rows = []
    for name, seconds in profile.items():
        if name in ("calls", "neurons", "active_neurons") or not seconds:
            continue
        size, each = sizes.get(name, 0), seconds / profile["calls"]
        share = size / each / limit if size else None
        rows.append({"operation": name, "bytes": size, "microseconds": 1e6 * each, "bandwidth_share": share})
    return rows
