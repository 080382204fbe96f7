"""Writes docs/reference.md: every verb with its flags and every recipe setting with its default, read from the code."""

from __future__ import annotations

import dataclasses
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from dotori.cli.main import VERBS
from dotori.data.clean import CleanSettings
from dotori.data.settings import DomainSettings, StorySettings
from dotori.recipe.stages import STAGES
from dotori.train.settings import ModelSettings, Phase
from dotori.tunnel.settings import TunnelSettings

OUT = Path(__file__).with_name("reference.md")
PARTS = {"data": (DomainSettings, StorySettings, CleanSettings), "train": (ModelSettings, Phase)}


def settings_table(kind: type) -> Iterator[str]:
    """A settings class: its docstring and a row a field."""
    yield f"**{kind.__name__}.** " + " ".join((kind.__doc__ or "").split())
    yield ""
    yield "| setting | type | default |"
    yield "|---|---|---|"
    for field in dataclasses.fields(kind):
        yield f"| `{field.name}` | `{_type(field.type)}` | {_default(field)} |"
    yield ""


def _type(kind: Any) -> str:
    text = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
    for module in ("typing.", "dotori.data.clean.", "dotori.data.settings.", "dotori.train.settings."):
        text = text.replace(module, "")
    return text.replace("|", "\\|")


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
        return f"`{type(value).__name__}()`" if dataclasses.is_dataclass(value) else f"`{value!r}`"
    return "needed" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!r}`"


def verbs() -> Iterator[str]:
    """Each verb's help."""
    for verb, summary in VERBS.items():
        parts = [""] if isinstance(summary, str) else list(summary)
        for part in parts:
            name, module = (verb, verb) if not part else (f"{verb} {part}", f"{verb}_{part}")
            code = import_module(f"dotori.cli.{module}")
            parser = ArgumentParser(prog=f"dotori {name}", add_help=False)
            code.arguments(parser)
            yield f"### dotori {name}"
            yield ""
            yield (summary if isinstance(summary, str) else summary[part]) + "."
            yield ""
            yield "    " + "\n    ".join(parser.format_help().rstrip().split("\n"))
            yield ""


def main() -> int:
    """Writes the page; with --check only says whether it is what the code says."""
    os.environ["COLUMNS"] = "110"
    lines = ["# Reference", "", "Written by `make docs` from the code; do not edit.", "", "## Verbs", "", *verbs()]
    lines += ["## Settings of stages", ""]
    for name, stage in STAGES.items():
        lines += [f'### stage = "{name}"', "", *settings_table(stage.settings)]
        for part in PARTS.get(name, ()):
            lines += settings_table(part)
    lines += ["## Settings of the tunnel", "", *settings_table(TunnelSettings)]
    text = "\n".join(lines).rstrip() + "\n"
    if "--check" in sys.argv:
        return int(not OUT.is_file() or OUT.read_text() != text)
    OUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
