"""A run folder of the real shape with made-up figures, for tests and for looking at the page without training."""

import json
import math
from pathlib import Path

STAGES = [
    # name, kind, seconds, parents
    ("tokenizer", "tokenizer", 4.1, []),
    ("data", "data", 11.8, ["tokenizer"]),
    ("train", "train", 231.0, ["data"]),
    ("decay", "train", 61.2, ["data", "train"]),
    ("sft", "sft", 48.0, ["data", "decay"]),
    ("export-q8_0", "export", 2.2, ["sft"]),
    ("export-q4_0", "export", 1.9, ["sft"]),
    ("eval", "evaluate", 35.5, ["sft", "export-q8_0", "export-q4_0"]),
]


def write_run(folder: Path) -> None:
    """Fills `folder` as `dotori run` would."""
    records = {
        name: {
            "kind": kind,
            "fingerprint": f"{i:x}" * 64,
            "output": f"{i + 7:x}a3" * 22,
            "seconds": seconds,
            "peak_memory_bytes": int(3e8 + 1e8 * i),
            "parents": parents,
        }
        for i, (name, kind, seconds, parents) in enumerate(STAGES)
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stages.json").write_text(json.dumps(records))
    (folder / "recipe.toml").write_text('name = "demo"\nseed = 1\n\n[tokenizer]\nstage = "tokenizer"\n')
    put(folder / "tokenizer" / "lineage.json", {"proofs": [proof("round_trip", 0, 0, "decode(encode(x)) = x")]})
    train = {"documents": 41_822, "tokens": 2_912_000, "bytes": 9_812_000, "shards": ["train-00000"]}
    held_out = {"documents": 812, "tokens": 58_000, "bytes": 196_000, "shards": ["validation-ko-00001"]}
    domain = {"format": "text", "dropped": {"duplicate": 12, "short": 0}}
    domain["splits"] = {"train": train, "validation-ko": held_out}
    chat = {"format": "chat", "dropped": {}, "splits": {"train": train | {"documents": 22_100}}}
    put(folder / "data" / "manifest.json", {"domains": {"story": domain, "chat": chat}})
    seen: dict[str, int] = {}
    for name, steps, peak in (("train", 180, 0.01), ("decay", 40, 0.01), ("sft", 40, 0.004)):
        proofs = [proof("resume", 0.0, 0.0, "twenty steps in one go and with a cut between: same weights")]
        seen[name] = steps * 8192
        model(folder / name, "train", proofs, seen[name], sum(seen.values()))
        (folder / name / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in metrics(name, steps, peak)))
    for file_type, size in (("Q8_0", 2_400_000), ("Q4_0", 1_310_000)):
        out = folder / f"export-{file_type.lower()}"
        how = "logits of the file, dequantized, against the model folder on 2,048 tokens"
        put(out / "lineage.json", {"stage": "export", "proofs": [proof("logits_equal", 2.3e-6, 1e-4, how)]})
        (out / f"model-{file_type}.gguf").write_bytes(bytes(size))
    put(folder / "eval" / "evaluation.json", evaluation())


def put(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False))


def proof(name: str, value: float, threshold: float, how: str) -> dict:
    return {"name": name, "value": value, "threshold": threshold, "passed": True, "how": how}


def model(folder: Path, stage: str, proofs: list[dict], tokens: int, seen: int) -> None:
    metrics = {"parameters": 2_131_456, "tokens": tokens}
    put(folder / "lineage.json", {"stage": stage, "metrics": metrics, "proofs": proofs, "tokens_seen": seen})
    (folder / "model.safetensors").write_bytes(bytes(8_525_824))


def metrics(name: str, steps: int, peak: float) -> list[dict]:
    first = {"train": 7.6, "decay": 1.9, "sft": 1.2}[name]
    lines = []
    for step in range(steps):
        rate = peak * min(1, (step + 1) / 20) if name == "train" else peak * (1 - step / steps)
        loss = first * (0.35 + 0.65 * math.exp(-step / 30)) + 0.05 * math.sin(step * 1.7)
        lines.append(
            {"kind": "step", "step": step, "loss": loss, "lr": rate, "grad_norm": 0.8, "tokens": (step + 1) * 8192}
            | {"tokens_per_second": 9_200.0 + 30 * math.sin(step), "utilisation": 0.41, "memory_bytes": 900_000_000}
        )
        if step % 20 == 19:
            bits = {"ko": 0.4 + loss / 8, "en": 0.5 + loss / 7}
            lines.append({"kind": "validation", "step": step + 1, "bits_per_byte": bits})
            text = "는 아침에 강가로 갔습니다. 그곳에서 작은 배를 보았습니다." if step > 60 else "다다 니다 을 을 을"
            lines.append({"kind": "sample", "step": step + 1, "prompt": "민수", "text": text})
    return lines


def evaluation() -> dict:
    figures = {"qa_exact_match": 0.93, "chrf_ko_en": 91.2, "chrf_en_ko": 88.7, "feeling_accuracy": 0.97}
    figures["particle_accuracy"] = 0.995
    intervals = {"qa_exact_match": [0.89, 0.96], "chrf_ko_en": [88.1, 93.9], "chrf_en_ko": [85.0, 91.1]}
    baselines = {"majority": {"qa_exact_match": 0.08, "feeling_accuracy": 0.21}}
    baselines["copy"] = {"qa_exact_match": 0.0, "chrf_ko_en": 3.1, "chrf_en_ko": 2.8}
    models = []
    for name, file, loss in (("sft", "model.safetensors", 0.0), ("export-q4_0", "model-Q4_0.gguf", 0.02)):
        story = {key: value * (1 - loss) for key, value in figures.items()}
        base = {"byte_unigram": 4.6, "byte_bigram": 2.9}
        rows = {
            "ko": {"bits_per_byte": 0.412, "ci95": [0.40, 0.425], "baselines": base},
            "en": {"bits_per_byte": 0.523, "ci95": None, "baselines": base},
        }
        bpb = {"languages": rows}
        models.append({"name": name, "file": file, "storyworld": story | {"ci95": intervals, "baselines": baselines}})
        models[-1]["bpb"] = bpb
    turns = [
        {
            "role": "user",
            "content": "이야기: 민수는 시장에서 사과를 샀습니다. 비가 와서 우산을 폈습니다.\n민수는 무엇을 샀습니까?",
        },
        {"role": "assistant", "content": "사과를 샀습니다."},
        {"role": "user", "content": "Translate into Korean: The fox was happy because it found a red button."},
        {"role": "assistant", "content": "여우는 빨간 단추를 찾아서 기뻤습니다."},
    ]
    return {"stage": "evaluate", "models": models, "transcript": {"model": "model-Q4_0.gguf", "turns": turns}}
