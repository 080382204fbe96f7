"""How fast the exports for other engines decode on this machine beside the native runtime, from the same weights.

    python benchmarks/mobile.py MODEL_FOLDER [--work FOLDER] [--context N] [--threads 1] [--rounds 5]

Exports MODEL_FOLDER as GGUF (F32, Q4_0), for ExecuTorch (fp32, 8da4w) and for onnxruntime-genai (fp32, int4) into the
work folder where they are missing, which takes minutes. Each engine runs in a process of its own, and they take turns:
a prompt of 64 tokens, then 64 greedy steps behind it; figures are medians of the rounds. Needs the extra `mobile`.
Results go to results/mobile.json under the folder's name.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measure import RESULTS, write

from dotori.checkpoint.lineage import read_lineage
from dotori.evaluate.peers import Peer, compare
from dotori.export.executorch import ExecutorchSettings, export_executorch
from dotori.export.gguf import ExportSettings, export_gguf
from dotori.export.mobile import distance, read_source, rows_of_model, walks_of_model
from dotori.export.onnx import OnnxSettings, export_onnx
from dotori.runlog import RunLog
from dotori.runtime.open import open_gguf

PROMPT, STEPS = 64, 64
# Stored alike: in float32, and in about four bits.
ROWS = {"float32": ("F32", "fp32", "fp32"), "four bits": ("Q4_0", "8da4w", "int4")}


def export(model: Path, work: Path, context: int, log: RunLog) -> None:
    """Makes what is missing of the six exports."""
    for gguf, executorch, onnx in ROWS.values():
        if not (work / gguf).exists():
            export_gguf(ExportSettings(type=gguf), model, work / gguf, log)  # type: ignore[arg-type]
        if not (work / f"executorch-{executorch}").exists():
            wanted = ExecutorchSettings(type=executorch, context=context)  # type: ignore[arg-type]
            export_executorch(wanted, model, work / f"executorch-{executorch}", log)
        if not (work / f"onnx-{onnx}").exists():
            export_onnx(OnnxSettings(type=onnx), model, work / f"onnx-{onnx}", log)  # type: ignore[arg-type]


def gguf_distance(model: Path, file: Path, context: int) -> dict[str, float]:
    """How far the GGUF file stands from the model, on the rows that the other exports are compared on."""
    source, session = read_source(model), open_gguf(file, context=context)
    walks = walks_of_model(source, context)
    rows = [session.logits(walk.ids[:-1])[walk.start - 1 :] for walk in walks]
    return distance([rows_of_model(source, walk) for walk in walks], rows)


def measure(model: Path, work: Path, row: tuple[str, str, str], threads: int, rounds: int) -> dict[str, Any]:
    """One row: the three engines in turns, with sizes, ratios and how far each file is from the model."""
    gguf, executorch, onnx = row
    files = {
        "dotori": work / gguf / f"model-{gguf}.gguf",
        "executorch": work / f"executorch-{executorch}" / f"model-{executorch}.pte",
        "onnxruntime-genai": work / f"onnx-{onnx}",
    }
    with ExitStack() as stack:
        context = PROMPT + STEPS + 8
        peers = {name: stack.enter_context(Peer(name, file, threads, context)) for name, file in files.items()}
        table = compare(peers, PROMPT, STEPS, PROMPT, rounds)
    result: dict[str, Any] = {}
    for name, file in files.items():
        found = read_lineage(file if file.is_dir() else file.parent).metrics
        if name == "dotori":
            found |= gguf_distance(model, file, 256)
        entry = {"file": file.name, "file_bytes": found["file_bytes"], "kl_nats": found["kl_nats"]}
        for what in ("decode", "prefill"):
            entry[f"{what}_tokens_per_second"] = round(table[name][what]["median"], 1)
            entry[f"{what}_tokens_per_second_best"] = round(table[name][what]["best"], 1)
            entry[f"{what}_of_dotori"] = round(table[name][what]["median"] / table["dotori"][what]["median"], 3)
        if "context" in found:
            entry["context"] = found["context"]
        entry["peak_memory_bytes"] = table[name]["memory"]["peak"]
        result[name] = entry
    return result


def main() -> None:
    """Exports, measures, writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--work", type=Path, help="folder for the exports (default: beside the model)")
    parser.add_argument("--name", help="name of the row (default: the model folder's)")
    parser.add_argument("--context", type=int, default=0, help="positions that a .pte holds (default: the model's)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    work = words.work or words.model.with_name(f"{words.model.name}-exports")
    with RunLog() as log:
        export(words.model, work, words.context, log)
    file = RESULTS / "mobile.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    result.pop("machine", None)
    row: dict[str, Any] = {"threads": words.threads, "prompt": PROMPT, "steps": STEPS, "rounds": words.rounds}
    row["versions"] = {name: version(name) for name in ("executorch", "onnxruntime-genai")}
    row |= {name: measure(words.model, work, kinds, words.threads, words.rounds) for name, kinds in ROWS.items()}
    write("mobile", result | {words.name or words.model.name: row})


if __name__ == "__main__":
    main()
