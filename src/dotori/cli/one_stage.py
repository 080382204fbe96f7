"""What the verbs of a single stage share: the settings of one table of a recipe, its input folders, one folder out."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.options import add_json, add_out, add_set, duration, print_json


def add_arguments(parser: ArgumentParser, inputs: tuple[str, ...]) -> None:
    """Recipe, folders and flags; each of `inputs` becomes a `--NAME FOLDER`."""
    parser.add_argument("recipe", type=Path, help="the recipe whose settings are taken")
    add_out(parser)
    for name in inputs:
        words = f"the {name} folder (default: the one that the recipe names, beside OUT)"
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=words)
    parser.add_argument("--stage", metavar="NAME", help="the table, where the recipe has several of this kind")
    parser.add_argument("--stop-after", type=duration, metavar="TIME", help="save and end after 90s, 9m or 1h")
    parser.add_argument("--dry-run", action="store_true", help="print sizes, time and memory; make nothing")
    add_set(parser)
    add_json(parser)


def run_stage(options: Namespace, kind: str, inputs: tuple[str, ...]) -> int:
    """Makes the folder of the one table of `kind`."""
    from dotori.files import check_place
    from dotori.recipe.plan import plan_lines, plan_recipe
    from dotori.recipe.run import run_table
    from dotori.recipe.schema import read_recipe
    from dotori.runlog import RunLog

    recipe = read_recipe(options.recipe, options.assignments)
    table = recipe.only(kind, options.stage)
    if options.dry_run:
        plan = plan_recipe(recipe, options.out.absolute().parent, only=table.name)
        print_json(plan.json()) if options.json else print("\n".join(plan_lines(plan)))
        return 0
    check_place(options.out)
    given = {name: [getattr(options, name)] for name in inputs if getattr(options, name) is not None}
    with RunLog() as log:
        run_table(recipe, table, given, options.out, log, options.stop_after)
    if options.json:
        print_json({"stage": table.name, "kind": kind, "folder": str(options.out)})
    else:
        print(f"{options.out}: made with [{table.name}] of {options.recipe}", file=sys.stderr)
    return 0
