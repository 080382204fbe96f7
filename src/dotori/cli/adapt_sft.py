"""`dotori adapt sft`.

The loss is on the words of the assistant. The same command continues a run that was cut.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from dotori.cli.one_stage import add_arguments, run_stage

_INPUTS: tuple[str, ...] = ("data", "init")


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_arguments(parser, _INPUTS)


def run(options: Namespace) -> int:
    """Makes the folder."""
    return run_stage(options, "sft", _INPUTS)
