"""`dotori demo`.

Runs recipes/demo.toml on the embedded corpus: a tokenizer, a model from nothing, instruction tuning, two GGUF files, an
evaluation and a report. The same command again continues, or shows the result when all is there.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.options import add_out
from dotori.errors import UserError

_TIMED_TOKENS = 256


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_out(parser, Path("runs/demo"))


def run(options: Namespace) -> int:
    """Makes the demo and shows what came out."""
    from dotori.files import read_json
    from dotori.recipe.run import run_recipe
    from dotori.recipe.schema import read_recipe
    from dotori.runlog import RunLog
    from dotori.runtime.open import open_gguf

    recipe = read_recipe(_recipe())
    with RunLog() as log:
        run_recipe(recipe, options.out, log)
    evaluation = read_json(options.out / recipe.only("evaluate", None).name / "evaluation.json", "evaluation folder")
    transcript = evaluation["transcript"]
    print(f"\n{transcript['model']} answers questions it has not seen:\n")
    for turn in transcript["turns"]:
        print(f"{'>' if turn['role'] == 'user' else ' '} {turn['content']}")
    shipped = options.out / recipe.table("eval").inputs["models"][-1]
    session = open_gguf(shipped)
    rate = _TIMED_TOKENS / session.bench_decode(_TIMED_TOKENS)
    print(f"\nspeed: {rate:,.0f} tokens a second on {session.threads} threads, native core ({session.isa})")
    print(f"\ntalk to it:       dotori chat {shipped}", file=sys.stderr)
    print(f"read the report:  {options.out / recipe.only('report', None).name / 'report.html'}", file=sys.stderr)
    print(f"check the proofs: dotori verify {options.out}", file=sys.stderr)
    return 0


def _recipe() -> Path:
    """The recipe of this folder, else of the source tree that dotori was installed from."""
    places = [Path("recipes/demo.toml"), Path(__file__).parents[3] / "recipes" / "demo.toml"]
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        "demo: recipes/demo.toml is not here; it comes with the source; run this in a clone of the repository"
    )
