"""What ten minutes of training on two cores teach: bits per byte of held-out Korean and English.

    python benchmarks/train_quality.py --data ROOT [--minutes 10] [--set pretrain.lr=0.01] [--out FOLDER]
        [--runs 3] [--against pretrain.lr=0.02] [--against ...]

ROOT is what recipes/koen_cpu.toml calls data.root. Tokenizer and shards are built first; the clock of the training runs
from the first step, and the decay, validation and checkpoints lie within it. The figure is taken on
all documents that the split by hash held out (2 %), windows with half a context before what is scored, in the
precision of the training. With --eval FILES the finished model also reads other text, as `dotori eval bpb` does.

--runs repeats with other seeds, for an interval. --against trains the same recipe with other settings in turns with
it, and the gain is given with Welch's interval; with --tokens N every run reads so many tokens, however long they take,
so that the machine's speed does not meddle with the gain.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from measure import write
from scipy import stats

from dotori.checkpoint.folder import read_model
from dotori.checkpoint.lineage import read_lineage
from dotori.data.loader import read_manifest, validation_languages
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


def first_stages(assignments: list[str], tokens: int | None) -> Recipe:
    """The recipe up to its pretraining, of so many tokens; conversations, which that does not read, may be missing."""
    recipe = read_recipe(RECIPE, assignments)
    tables = []
    for table in recipe.tables:
        if table.name in ("tokenizer", "data"):
            found = {name: domain for name, domain in table.settings.domains.items() if is_there(domain)}
            table = replace(table, settings=replace(table.settings, domains=found))
        if table.name == "pretrain" and tokens:
            table = replace(table, settings=replace(table.settings, tokens=tokens, minutes=None))
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


def trained(recipe: Recipe, out: Path, log: RunLog) -> dict[str, float]:
    """Trains in `out`, keeping its tokenizer and data, and reads all held-out text: bits per byte by language."""
    run_recipe(recipe, out, log, restart="pretrain")
    model, config = read_model(out / "pretrain")
    is_half = read_lineage(out / "pretrain").metrics["precision"] == "bfloat16"
    with torch.autocast("cpu", torch.bfloat16) if is_half else contextlib.nullcontext():
        return bits_per_byte(model, out / "data", config.max_position_embeddings, 10**12)


def described(recipe: Recipe, out: Path) -> dict:
    """What the last run in `out` was."""
    metrics = read_lineage(out / "pretrain").metrics
    manifest = read_manifest(out / "data")["domains"]
    texts = [domain["splits"] for domain in manifest.values() if domain["format"] == "text"]
    names = ("parameters", "steps", "tokens", "seconds", "tokens_per_second", "loss", "precision")
    return {
        "training": {name: metrics[name] for name in names},
        "held_out_bytes": {
            language: sum(splits.get(f"validation-{language}", {}).get("bytes", 0) for splits in texts)
            for language in validation_languages(out / "data")
        },
        "settings": settings_json(recipe.table("pretrain").settings),
        "vocab_size": read_manifest(out / "data")["vocab_size"],
    }


def interval(values: list[float]) -> dict:
    """Mean and the half width of its 95 % interval, unknown for a single value."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else None
    return {"mean": round(fmean(values), 4), "half_width": half and round(float(half), 4)}


def gain(other: list[float], own: list[float]) -> dict:
    """How much lower `own` is, with Welch's 95 % interval."""
    low, high = stats.ttest_ind(other, own, equal_var=False).confidence_interval()
    return {"mean": round(fmean(other) - fmean(own), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def measured(recipe: Recipe, against: Recipe | None, out: Path, runs: int, files: list[str]) -> dict:
    """Trains both `runs` times in turns and compares."""
    ways = {"recipe": recipe} | ({"against": against} if against else {})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    report: dict = {}
    with RunLog() as log:
        for number in range(runs):
            for name, way in ways.items():
                folder = out / name
                found[name].append(trained(seeded(way, number), folder, log))
                log.say(f"{name}, run {number + 1}: {found[name][-1]}")
        report |= described(recipe, out / "recipe")
        if files:
            other = evaluate_bpb(open_model(out / "recipe" / "pretrain"), files, "text", None, log)["languages"]
            report["other_text"] = {name: row["bits_per_byte"] for name, row in other.items()}
    columns = {name: {key: [run[key] for run in given] for key in given[0]} for name, given in found.items()}
    own = columns["recipe"]
    report["bits_per_byte"] = {language: interval(values) for language, values in own.items()}
    report["runs"] = {
        name: {key: [round(v, 4) for v in vs] for key, vs in given.items()} for name, given in columns.items()
    }
    if against:
        report["against"] = settings_json(against.table("pretrain").settings)
        report["gain"] = {language: gain(columns["against"][language], own[language]) for language in own}
    return report


def seeded(recipe: Recipe, number: int) -> Recipe:
    """The recipe with the seed of its pretraining moved on by `number`."""
    tables = [
        replace(table, settings=replace(table.settings, seed=table.settings.seed + number))
        if table.name == "pretrain"
        else table
        for table in recipe.tables
    ]
    return replace(recipe, tables=tuple(tables))


def main() -> None:
    """Measures and writes results/train_quality.json, or train_quality_against.json for a comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the pretrain-* sets")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--tokens", type=int, help="of every run, in place of minutes")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="TABLE.KEY=VALUE")
    parser.add_argument("--against", action="append", default=[], metavar="TABLE.KEY=VALUE", help="settings to beat")
    parser.add_argument("--runs", type=int, default=1, help="of each, with other seeds")
    parser.add_argument("--out", type=Path, help="keep the last run of each here")
    parser.add_argument("--eval", nargs="*", default=[], metavar="FILE", help="other text to read at the end")
    options = parser.parse_args()
    if options.against and options.runs < 2:
        parser.error("--against needs --runs of two at least: one run of each says nothing of chance")
    given = [f"data.root={options.data}", f"pretrain.minutes={options.minutes}", *options.assignments]
    recipe = first_stages(given, options.tokens)
    against = first_stages([*given, *options.against], options.tokens) if options.against else None
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch) / "run"
        name = "train_quality_against" if against else "train_quality"
        write(name, measured(recipe, against, out, options.runs, options.eval))


if __name__ == "__main__":
    main()
