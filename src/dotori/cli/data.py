"""`dotori data`.

Reads, cleans, tokenizes and packs what the [data] table of the recipe names. A build that was cut goes on.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from dotori.cli.one_stage import add_arguments, run_stage

_INPUTS: tuple[str, ...] = ("tokenizer",)


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_arguments(parser, _INPUTS)


def run(options: Namespace) -> int:
    """Makes the folder."""
    return run_stage(options, "data", _INPUTS)
