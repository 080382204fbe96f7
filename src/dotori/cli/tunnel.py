"""`dotori tunnel`.

Learns from many tiny runs what a large one should use: `dotori tunnel [CHAPTER] SOURCE --out DIR`. SOURCE is a recipe
(its tokenizer and data are made in DIR, its train table is where the tunnel starts), a dataset folder, or a folder of
text. Without a chapter all are run within --budget: check, search, transfer, ladder, batch, schedules; then the page.
The same command continues what was cut.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotori.cli.options import add_json, add_out, add_set, duration, print_json
from dotori.errors import Interrupted, UserError

if TYPE_CHECKING:
    from dotori.recipe.schema import Recipe
    from dotori.runlog import RunLog
    from dotori.train.settings import TrainSettings
    from dotori.tunnel.settings import TunnelSettings


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    words = "a chapter (check, search, transfer, ladder, batch, schedules, page) or none, and the source"
    parser.add_argument("words", nargs="+", metavar="[CHAPTER] SOURCE", help=words)
    add_out(parser)
    words = "wall time of all chapters (default 60m; a chapter alone gets 20m at most)"
    parser.add_argument("--budget", type=duration, metavar="TIME", help=words)
    words = "make the dataset, measure the machine and print what each chapter would do; train no model"
    parser.add_argument("--dry-run", action="store_true", help=words)
    add_set(parser)
    add_json(parser)


def run(options: Namespace) -> int:
    """Runs the chapters and writes the page."""
    from dotori.runlog import RunLog
    from dotori.train.stop import stop_requests
    from dotori.tunnel.ground import read_chapter
    from dotori.tunnel.settings import CHAPTERS
    from dotori.tunnel.tunnel import chapters_of, plan_tunnel, run_tunnel

    chapter, source = chapters_of(options.words)
    own = [word for word in options.assignments if word.startswith("tunnel.")]
    others = [word for word in options.assignments if not word.startswith("tunnel.")]
    with RunLog() as log:
        try:
            train, place = _read(source, others, options.out)
            settings = _settings(train, own, options.budget)
            data = place if isinstance(place, Path) else _made(place, options.out, log)
            if options.dry_run:
                return _show(plan_tunnel(settings, data, options.out, chapter, log), options.json)
            with stop_requests(None) as stop:
                page = run_tunnel(settings, data, options.out, chapter, log, stop, source, options.assignments)
        except Interrupted as stop:
            again = ["dotori", "tunnel", *options.words, "--out", str(options.out)]
            again += [f"--budget={options.budget:g}s"] if options.budget else []
            again += [word for assignment in options.assignments for word in ("--set", assignment)]
            raise Interrupted(f"{stop}\ncontinue with: {shlex.join(again)}") from None
    if options.json:
        print_json({name: read_chapter(options.out, name) for name in CHAPTERS} | {"page": str(page)})
    else:
        print(f"{page}: the page of what was found", file=sys.stderr)
    return 0


def _show(plan: dict[str, dict[str, float]], as_json: bool) -> int:
    if as_json:
        print_json(plan)
        return 0
    for name, row in plan.items():
        longest = f", longest run {row['tokens'] / 1e6:.2f} M tokens" if "tokens" in row else ""
        print(f"{name:10} {row['minutes']:5.1f} minutes{longest}")
    return 0


def _read(source: str, assignments: list[str], out: Path) -> tuple[TrainSettings, Path | Recipe]:
    """The base run of a source, and its dataset folder or the recipe that makes one; writes nothing."""
    from dotori.config import build, override
    from dotori.recipe.schema import check_recipe, read_recipe, settings_json
    from dotori.train.settings import TrainSettings
    from dotori.tunnel.settings import base_settings

    place = Path(source)
    if not source or (place / "manifest.json").is_file():
        base = override({"train": settings_json(base_settings())}, assignments)["train"]
        return build(TrainSettings, base, "tunnel [train]"), place if source else _noted(out)
    if place.suffix == ".toml":
        recipe = read_recipe(place, assignments)
        train = next((table.settings for table in recipe.tables if table.kind == "train"), base_settings())
    elif place.exists():
        recipe = check_recipe(_of_text(place), [word for word in assignments if not word.startswith("train.")], source)
        base = override({"train": settings_json(base_settings())}, [w for w in assignments if w.startswith("train.")])
        train = build(TrainSettings, base["train"], "tunnel [train]")
    else:
        raise UserError(f"{source}: no such file or folder; a recipe, a dataset folder or a folder of text is needed")
    return train, recipe


def _noted(out: Path) -> Path:
    """The dataset that the chapters in `out` were made with."""
    from dotori.files import read_json

    return out / read_json(out / "settings.json", "tunnel folder")["data"]


def _of_text(place: Path) -> dict[str, Any]:
    domains = {"text": {"paths": [str(place.absolute())]}}
    tokenizer = {"stage": "tokenizer", "domains": domains, "vocab_size": 2048, "max_bytes": 40_000_000}
    return {
        "name": "tunnel",
        "tokenizer": tokenizer,
        "data": {"stage": "data", "tokenizer": "tokenizer", "domains": domains},
    }


def _made(recipe: Recipe, out: Path, log: RunLog) -> Path:
    from dataclasses import replace

    from dotori.recipe.run import outdated, run_recipe
    from dotori.tunnel.tunnel import refuse_changes

    tables = tuple(table for table in recipe.tables if table.kind in ("tokenizer", "data"))
    data = next((table for table in tables if table.kind == "data"), None)
    if data is None:
        raise UserError(f"{recipe.name}: no data stage; the tunnel needs text to train on; add one or name a dataset")
    recipe = replace(recipe, tables=tables)
    refuse_changes(out, outdated(recipe, out))
    run_recipe(recipe, out, log)
    return out / data.name


def _settings(train: TrainSettings, assignments: list[str], budget: float | None) -> TunnelSettings:
    from dotori.config import build, override
    from dotori.tunnel.settings import TunnelSettings

    given = override({"tunnel": {}}, assignments)["tunnel"]
    if "train" in given:
        raise UserError("--set tunnel.train: the base run comes from the recipe's train table; write train.KEY=VALUE")
    minutes = {"minutes": budget / 60} if budget is not None else {}
    return build(TunnelSettings, given | minutes | {"train": train}, "tunnel")
