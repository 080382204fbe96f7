"""`dotori tokenizer`.

Byte-level BPE on the texts that the [tokenizer] table of the recipe names, with a report of its cost per language.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from dotori.cli.one_stage import add_arguments, run_stage

_INPUTS: tuple[str, ...] = ()


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_arguments(parser, _INPUTS)


def run(options: Namespace) -> int:
    """Makes the folder."""
    return run_stage(options, "tokenizer", _INPUTS)
