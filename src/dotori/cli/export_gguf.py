"""`dotori export gguf`.

The file carries sizes, tokenizer and chat template; it is read back and must give the model's logits and token ids.
llama.cpp reads it too. Q8_0 and Q4_0 round to nearest.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.options import add_json, add_out, print_json


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", type=Path, help="model folder")
    add_out(parser)
    parser.add_argument("--type", choices=("F32", "F16", "Q8_0", "Q4_0"), default="Q8_0", help="default Q8_0")
    add_json(parser)


def run(options: Namespace) -> int:
    """Writes the export folder."""
    from dotori.checkpoint.lineage import read_lineage
    from dotori.export.gguf import ExportSettings, export_gguf
    from dotori.runlog import RunLog

    with RunLog() as log:
        export_gguf(ExportSettings(type=options.type), options.model, options.out, log)
    file = options.out / f"model-{options.type}.gguf"
    if options.json:
        print_json({"file": str(file), "metrics": read_lineage(options.out).metrics})
    else:
        print(f"talk to it: dotori chat {file}", file=sys.stderr)
    return 0
