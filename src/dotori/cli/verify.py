"""`dotori verify`.

Takes a run folder, a folder that a stage made, or a .gguf file inside one. Ends with 65 when anything was altered.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.options import add_json, print_json
from dotori.errors import ProofError

_MARKS = {"ok": "ok      ", "failed": "FAILED  ", "recorded": "recorded"}


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("folder", type=Path, help="run, model, tokenizer, dataset, export or evaluation folder")
    add_json(parser)


def run(options: Namespace) -> int:
    """Checks and prints; raises ProofError when a check failed."""
    from dotori.recipe.verify import verify

    checks = verify(options.folder)
    if options.json:
        print_json([check.json() for check in checks])
    else:
        for check in checks:
            print(f"{_MARKS[check.status]} {check.folder}: {check.name}: {check.detail}")
    failed = [check for check in checks if check.status == "failed"]
    if failed:
        raise ProofError(
            f"{options.folder}: {len(failed)} of {len(checks)} checks failed, first {failed[0].folder}: "
            f"{failed[0].name}; a folder must be as its stage left it; restore it or make it anew"
        )
    return 0
