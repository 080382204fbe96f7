"""The few flags that several verbs share, and how results are printed."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dotori.config import parse_duration, parse_size
from dotori.errors import UserError


def add_set(parser: ArgumentParser) -> None:
    """`--set table.key=value`, repeatable."""
    parser.add_argument(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="replace a setting of the recipe, for example train.lr=3e-3; may be repeated",
    )


def add_json(parser: ArgumentParser) -> None:
    """`--json`: data for programs on stdout."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def add_out(parser: ArgumentParser, default: Path | None = None) -> None:
    """`--out FOLDER`."""
    words = f"the folder to make (default {default})" if default else "the folder to make"
    parser.add_argument("--out", type=Path, required=default is None, default=default, metavar="FOLDER", help=words)


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of our own as an argparse type: its UserError becomes a usage error."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except UserError as error:
            raise ArgumentTypeError(str(error)) from None

    return convert


duration, size = checked(parse_duration), checked(parse_size)


def print_json(value: Any) -> None:
    """One JSON value on stdout, Korean readable."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
