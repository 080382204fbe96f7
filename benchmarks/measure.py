"""What the benchmarks share: the machine in words, runs in processes of their own, and results as files."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from dotori.device import detect

RESULTS = Path(__file__).with_name("results")


def machine() -> dict[str, Any]:
    """Processor, instruction sets, threads, memory and versions."""
    profile = detect()
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "instruction_sets": profile.isa,
        "threads": torch.get_num_threads(),
        "memory_gb": round(profile.memory_bytes / 1e9, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def in_a_process(script: str, *words: str) -> dict[str, Any]:
    """Runs `script` with `words` alone in a process and returns the JSON object on its last line."""
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def median(values: list[float]) -> float:
    """The middle value, the lower one of two."""
    return sorted(values)[(len(values) - 1) // 2]


def write(name: str, result: dict[str, Any]) -> None:
    """Writes results/NAME.json with the machine, and the same to stdout."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine()} | result, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text)
