"""What ten minutes of training on two cores teach: bits per byte of held-out Korean and English.

    python benchmarks/train_quality.py --data ROOT [--minutes 10] [--set pretrain.lr=0.01 ...] [--out FOLDER]

ROOT is what recipes/koen_cpu.toml calls data.root. Tokenizer and shards are built first and timed apart; the clock of
the training runs from the first step, and the decay, validation and checkpoints lie within it. The figure is taken on
all documents that the split by hash held out (2 %), windows with half a context before what is scored. With --eval
FILES the finished model also reads other text, as `dotori eval bpb` does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measure import write

from dotori.checkpoint.folder import read_model
from dotori.checkpoint.lineage import read_lineage
from dotori.data.loader import read_manifest
from dotori.data.settings import DomainSettings
from dotori.data.sources import find_files
from dotori.errors import UserError
from dotori.evaluate.bpb import evaluate_bpb
from dotori.recipe.run import run_recipe
from dotori.recipe.schema import Recipe, read_recipe, settings_json
from dotori.runlog import RunLog
from dotori.runtime.open import open_model
from dotori.train.validate import bits_per_byte

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "koen_cpu.toml"
STAGES = ("tokenizer", "data", "pretrain")


def first_stages(assignments: list[str]) -> Recipe:
    """The recipe up to its pretraining; conversations, which that does not read, may be missing."""
    recipe = read_recipe(RECIPE, assignments)
    tables = []
    for table in recipe.tables:
        if table.name in ("tokenizer", "data"):
            found = {name: domain for name, domain in table.settings.domains.items() if is_there(domain)}
            table = replace(table, settings=replace(table.settings, domains=found))
        if table.name in STAGES:
            tables.append(table)
    return replace(recipe, tables=tuple(tables))


def is_there(domain: DomainSettings) -> bool:
    """Whether a domain has its files; text must have them."""
    if domain.format == "text":
        return True
    try:
        return bool(find_files(domain.paths))
    except UserError:
        return False


def measured(recipe: Recipe, out: Path, files: list[str]) -> dict:
    """Trains in `out` and measures."""
    started = time.perf_counter()
    with RunLog() as log:
        seconds = {outcome.name: round(outcome.seconds, 1) for outcome in run_recipe(recipe, out, log)}
        model, config = read_model(out / "pretrain")
        held_out = bits_per_byte(model, out / "data", config.max_position_embeddings, 10**12)
        other: dict | None = evaluate_bpb(open_model(out / "pretrain"), files, "text", None, log) if files else None
    metrics = read_lineage(out / "pretrain").metrics
    manifest = read_manifest(out / "data")["domains"]
    return {
        "bits_per_byte": {language: round(value, 4) for language, value in held_out.items()},
        "other_text": other and {name: row["bits_per_byte"] for name, row in other["languages"].items()},
        "training": {
            name: metrics[name]
            for name in ("parameters", "steps", "tokens", "seconds", "tokens_per_second", "loss", "precision")
        },
        "held_out_bytes": {
            language: sum(
                domain["splits"].get(f"validation-{language}", {}).get("bytes", 0)
                for domain in manifest.values()
                if domain["format"] == "text"
            )
            for language in held_out
        },
        "stage_seconds": seconds,
        "all_seconds": round(time.perf_counter() - started, 1),
        "settings": settings_json(recipe.table("pretrain").settings),
        "vocab_size": config.vocab_size,
    }


def main() -> None:
    """Measures and writes results/train_quality.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the pretrain-* sets")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="TABLE.KEY=VALUE")
    parser.add_argument("--out", type=Path, help="keep the run here")
    parser.add_argument("--eval", nargs="*", default=[], metavar="FILE", help="other text to read at the end")
    options = parser.parse_args()
    recipe = first_stages([f"data.root={options.data}", f"pretrain.minutes={options.minutes}", *options.assignments])
    with tempfile.TemporaryDirectory() as scratch:
        write("train_quality", measured(recipe, options.out or Path(scratch) / "run", options.eval))


if __name__ == "__main__":
    main()
