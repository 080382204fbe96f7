"""`dotori run`.

Makes OUT/STAGE for each stage of the recipe. The same command again skips what did not change and continues what was
cut; Ctrl-C saves first.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.options import add_json, add_set, duration, print_json
from dotori.errors import Interrupted


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("recipe", type=Path, help="a recipe, for example recipes/demo.toml")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder (default runs/NAME of the recipe)")
    add_set(parser)
    parser.add_argument("--dry-run", action="store_true", help="print stages, sizes, time and memory; make nothing")
    parser.add_argument("--restart", action="store_true", help="forget what earlier runs made here and begin anew")
    parser.add_argument("--restart-from", metavar="STAGE", help="begin anew with this stage and all that it feeds")
    parser.add_argument("--stop-after", type=duration, metavar="TIME", help="save and end after 90s, 9m or 1h")
    add_json(parser)


def run(options: Namespace) -> int:
    """Runs or plans the recipe."""
    from dotori.recipe.plan import plan_lines, plan_recipe
    from dotori.recipe.run import run_recipe
    from dotori.recipe.schema import read_recipe
    from dotori.runlog import RunLog

    recipe = read_recipe(options.recipe, options.assignments)
    out = options.out or Path("runs") / recipe.name
    if options.dry_run:
        plan = plan_recipe(recipe, out)
        print_json(plan.json()) if options.json else print("\n".join(plan_lines(plan)))
        return 0
    with RunLog() as log:
        try:
            outcomes = run_recipe(
                recipe,
                out,
                log,
                restart="all" if options.restart else options.restart_from,
                stop_after=options.stop_after,
            )
        except Interrupted as stop:
            again = ["dotori", "run", str(options.recipe), "--out", str(out)]
            again += [word for assignment in options.assignments for word in ("--set", assignment)]
            raise Interrupted(f"{stop}\ncontinue with: {shlex.join(again)}") from None
    if options.json:
        print_json(
            [{"stage": o.name, "action": o.action, "folder": str(o.folder), "seconds": o.seconds} for o in outcomes]
        )
    else:
        print(f"{out}: {len(outcomes)} stages, {sum(o.action != 'unchanged' for o in outcomes)} made", file=sys.stderr)
    return 0
