"""A wind tunnel's folder with made-up chapters that follow known laws, and its runs; for the tests of the page."""

import hashlib
import json
import math
import random
from pathlib import Path

WIDTHS = (24, 48, 96, 192)
LAW = {"ko": (0.9, 14.0, 0.30, 150.0, 0.36), "en": (1.1, 11.0, 0.28, 120.0, 0.34)}
NOISE = 0.006


def run_id(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def check() -> dict:
    widths, steps = (64, 128, 256, 512, 1024), 8
    layers = [f"layer {n} {part}" for n in range(2) for part in ("attention", "mlp", "residual stream")] + ["logits"]
    exponents = {"mup adamw": 0.02, "standard adamw": 0.55, "mup adamw, embedding lr / r": -0.03, "mup muon": 0.01}
    rng, variants = random.Random(1), {}
    for name, exponent in exponents.items():
        slopes = {layer: exponent + rng.uniform(-0.02, 0.02) + 0.05 * i * exponent for i, layer in enumerate(layers)}
        variants[name] = {
            "activations": {
                layer: {
                    str(w): [0.2 + 0.3 * (w / 64) ** slope * k / steps for k in range(steps)]
                    + [0.5 * (w / 64) ** slope]
                    for w in widths
                }
                for layer, slope in slopes.items()
            },
            "slopes": {layer: {"slope": s, "low": s - 0.04, "high": s + 0.04} for layer, s in slopes.items()},
            "passed": abs(exponent) < 0.1,
        }
    return {"widths": list(widths), "steps": steps, "variants": variants, "passed": True}


def search() -> dict:
    rng, trials = random.Random(2), []
    default = {"scale_emb": 12.0, "scale_depth": 1.4, "init_std": 0.1, "lr": 0.01}
    for number in range(24):
        params = default if number == 0 else {k: v * 2 ** rng.uniform(-2, 2) for k, v in default.items()}
        loss = 2.31 + 0.06 * math.log2(params["lr"] / 0.014) ** 2 + 0.01 * math.log2(params["init_std"] / 0.06) ** 2
        status = "diverged" if number == 7 else "pruned" if loss > 2.45 else "done"
        value = None if status != "done" else loss + rng.gauss(0, NOISE)
        run = run_id(f"search {number}")
        trials.append({"number": number, "params": params, "bits_per_byte": value, "status": status, "run": run})
    best = min((t for t in trials if t["bits_per_byte"]), key=lambda t: t["bits_per_byte"])["params"]
    return {
        "trials": trials, "default": default, "best": best, "chosen": best, "default_bits_per_byte": 2.342,
        "best_bits_per_byte": 2.313, "noise": NOISE, "is_better": True, "tokens_a_run": 400_000,
        "importance": {"lr": 0.71, "init_std": 0.17, "scale_emb": 0.08, "scale_depth": 0.04},
    }  # fmt: skip


def bowl(best: float, width: int, seeds: int, rng: random.Random) -> dict:
    found = {}
    for step in range(-4, 4):
        rate = 0.01 * 2**step
        loss = 2.75 - 0.12 * math.log2(width / 24) + 0.035 * math.log2(rate / best) ** 2
        gone = rate > 7 * best
        found[f"{rate:.6g}"] = [None if gone else loss + rng.gauss(0, NOISE) for _ in range(seeds)]
    return found


def transfer(drift: float = -0.2) -> dict:
    """`drift`: doublings of the best rate from the narrowest to the widest model, with the rules on."""
    rng, variants = random.Random(3), {}
    steps = {
        "mup": drift,
        "standard": -2.6,
        "mup, independent weight decay": 0.1,
        "mup, embedding lr / r": -0.4,
        "muon": 0.2,
    }
    for name, moved in steps.items():
        best = {w: 0.0105 * 2 ** (moved * math.log2(w / 24) / 3) for w in WIDTHS}
        seeds = 2 if name == "mup" else 1
        variants[name] = {
            "bowls": {str(w): bowl(best[w], w, seeds, rng) for w in WIDTHS},
            "optimum": {str(w): best[w] for w in WIDTHS},
            "interval": {str(w): [best[w] / 1.25, best[w] * 1.25] for w in WIDTHS},
            "drift_steps": moved,
            "drift_interval": [moved - 0.4, moved + 0.4],
            "is_edge": {str(w): False for w in WIDTHS},
        }
    chosen = {"lr": 0.0098, "matrix_lr": 0.02}
    return {"widths": list(WIDTHS), "variants": variants, "noise": NOISE, "own_variant": "mup", "chosen": chosen}


def batch() -> dict:
    """Minima on batch = 9e4 / loss^5."""
    curves, minima = [], []
    for width, floor in ((48, 1.9), (96, 1.75)):
        for size in (512, 1024, 2048, 4096, 8192, 16384):
            points = []
            for tokens in (1e5, 2e5, 4e5, 8e5, 1.6e6):
                base = floor + 40 / tokens**0.36
                points.append([tokens, base + 0.03 * math.log2(size / (9e4 / base**5)) ** 2])
            curves.append({"width": width, "batch_tokens": size, "points": points})
        for loss in (2.3, 2.15, 2.05):
            is_edge = (width, loss) == (96, 2.05)
            minima.append({"width": width, "loss": loss, "batch_tokens": 9e4 / loss**5, "is_edge": is_edge})
    return {
        "curves": curves, "minima": minima, "law": {"a": 9e4, "b": 5.0, "b_interval": [3.6, 6.3], "r2": 0.94},
        "why": "",
        "priors": {"step_law": 1910.0, "deepseek": 5300.0}, "chosen_batch_tokens": 2048,
    }  # fmt: skip


def schedules() -> dict:
    lengths = [400_000 * n for n in range(1, 6)]
    rng = random.Random(4)

    def loss(tokens: float) -> float:
        return 1.6 + 30 / tokens**0.3

    return {
        "lengths": lengths, "wsd": {str(n): loss(n) + rng.gauss(0, 0.003) for n in lengths},
        "cosine": {str(n): loss(n) + rng.gauss(0, 0.003) for n in lengths}, "noise": NOISE,
        "wsd_tokens": 2_400_000, "cosine_tokens": 6_000_000, "share": 0.4, "decay_share": 0.1,
        "trunk": [[n, loss(n) + 0.12] for n in range(50_000, 2_000_001, 50_000)],
        "decay_lengths": {"0.025": 2.041, "0.05": 2.022, "0.1": 2.006, "0.2": 2.001},
        "forms": {"linear": 2.004, "exponential": 2.031, "sqrt": 2.001, "average": 2.062},
        "best_share": 0.2, "best_form": "sqrt",
        "mixing": {
            "A-1": {"answers_bpb": 0.93, "text_bpb": 2.15}, "A-2": {"answers_bpb": 0.81, "text_bpb": 2.09},
            "B-2": {"answers_bpb": 0.9, "text_bpb": 2.21},
        },
        "mixing_noise": NOISE,
    }  # fmt: skip


def ladder(measured_off: float = 0.01) -> dict:
    """`measured_off`: how far above the law the held-out run ended, in bits per byte."""
    rng, points = random.Random(5), []

    def loss(code: str, n: float, d: float) -> float:
        e, a, alpha, b, beta = LAW[code]
        return e + ((a * n**-alpha) ** 2 + (b * d**-beta) ** 2) ** 0.5

    for width, layers in ((48, 2), (72, 3), (96, 4), (120, 5)):
        n = layers * (4 * width**2 + 8 * width**2)
        for times in (10, 20, 40, 60):
            d = times * n
            scores = {code: loss(code, n, d) * (1 + rng.gauss(0, 0.003)) for code in LAW}
            points.append({"width": width, "layers": layers, "n": n, "d": d, "tokens_unique": min(d, 30_000_000),
                           "bits_per_byte": scores, "run": run_id(f"ladder {width} {times}")})  # fmt: skip
    n, d = 6 * 12 * 144**2, 90_000_000
    most = max(6 * p["n"] * p["d"] for p in points)
    told = {code: loss(code, n, d) for code in LAW}
    compute = [most * 2.0**k for k in range(-6, 4)]
    best = {code: [(c, min(loss(code, m, c / 6 / m) for m in (2.0**k for k in range(10, 28)))) for c in compute]
            for code in LAW}  # fmt: skip
    return {
        "points": points, "unique_tokens": 30_000_000,
        "rates": {"factor": 0.5, "tried": {"0.25": 2.102, "0.5": 2.061, "1": 2.113}, "width": 72, "tokens": 2_700_000},
        "chosen": {"lr": 0.0051, "matrix_lr": 0.0049},
        "fits": {
            code: dict(zip(("e", "a", "alpha", "b", "beta"), law, strict=True)) | {"gamma": 0.5}
            for code, law in LAW.items()
        },
        "band": {code: [[c, v, v * 0.985, v * 1.015] for c, v in rows] for code, rows in best.items()},
        "optimal": {
            "ko": {"flops": most, "n": 4.1e5, "d": 3.2e7, "ratio": 78.0, "low": 24.0, "high": 210.0},
            "en": {"flops": most, "n": 5.9e5, "d": 2.2e7, "ratio": 37.0, "low": 26.0, "high": 61.0},
        },
        "budgets": [
            {"minutes": minutes, "width": width, "layers": layers, "n": 12.0 * layers * width**2, "d": int(tokens),
             "flops": 72.0 * layers * width**2 * tokens, "good_widths": [width - 24, width + 48],
             "languages": {code: {"value": v - 0.1, "low": v - 0.2, "high": v} for code, v in told.items()}}
            for minutes, width, layers, tokens in ((10.0, 96, 4, 1.2e7), (60.0, 168, 7, 9e7), (480.0, 288, 12, 2e8))
        ],
        "prediction": {"n": n, "d": d, "flops": 6 * n * d, "times_largest": 6 * n * d / most, "file_hash": "f" * 64}
        | {code: {"value": v, "low": v - 0.03, "high": v + 0.03} for code, v in told.items()},
        "held_out": {"run": run_id("held out"), "bits_per_byte": {c: v + measured_off for c, v in told.items()}},
    }  # fmt: skip


def chapters() -> dict[str, dict]:
    found = {"check": check(), "search": search(), "transfer": transfer(), "batch": batch(),
             "schedules": schedules(), "ladder": ladder()}  # fmt: skip
    for number, (name, chapter) in enumerate(found.items()):
        runs = [] if name == "check" else [run_id(f"{name} {k}") for k in range(4 + 3 * number)]
        chapter |= {"evidence": runs, "core_seconds": 120.0 * (number + 1), "tokens": 1_500_000 * (number + 1)}
    return found


def write_folder(folder: Path, found: dict[str, dict] | None = None) -> Path:
    """The chapters as JSON files, settings.json, and a few runs of every kind of end."""
    found = chapters() if found is None else found
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for name, chapter in found.items():
        (folder / f"{name}.json").write_text(json.dumps(chapter))
    (folder / "settings.json").write_text(json.dumps({"minutes": 60.0, "source": "recipes/demo.toml"}))
    for name, chapter in found.items():
        for number, run in enumerate(chapter.get("evidence") or []):
            _write_run(folder / "runs", run, f"{name}, run {number}", number)
    return folder


def _write_run(runs: Path, run: str, label: str, number: int) -> None:
    shape = {"hidden_size": 24 * 2 ** (number % 4), "num_hidden_layers": 2}
    settings = {"model": shape, "lr": 0.01 / 2 ** (number % 3), "batch_tokens": 4096, "schedule": "wsd"}
    settings |= {"seed": number % 2, "context": 128, "steps": 100 + number}
    job = {"id": run, "label": label, "kind": "train", "init": None, "settings": settings, "threads": 1}
    (runs / f"{run}.job.json").write_text(json.dumps(job))
    if number % 7 == 5:
        ended = {"id": run, "status": "diverged", "reason": "loss is not finite", "tokens": 40_960, "bits_per_byte": {}}
        (runs / f"{run}.ended.json").write_text(json.dumps(ended))
    elif number % 7 == 6:
        (runs / f"{run}.partial").mkdir(exist_ok=True)
    else:
        (runs / run).mkdir(exist_ok=True)
        metrics = {"tokens": 409_600 + number, "bits_per_byte": {"ko": 1.9 + number / 100, "en": 2.1 + number / 100}}
        (runs / run / "lineage.json").write_text(json.dumps({"metrics": metrics}))
