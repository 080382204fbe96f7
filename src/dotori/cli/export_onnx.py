"""`dotori export onnx`.

A folder that onnxruntime-genai opens (Python, C#, Java, Objective-C), made by its own builder without a network. It is
run on this machine and must give the model's token ids and logits. Needs the extra `mobile`.
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
    parser.add_argument("--type", choices=("int4", "fp32"), default="int4", help="default int4")
    add_json(parser)


def run(options: Namespace) -> int:
    """Writes the export folder."""
    from dotori.checkpoint.lineage import read_lineage
    from dotori.export.onnx import OnnxSettings, export_onnx
    from dotori.runlog import RunLog

    with RunLog() as log:
        export_onnx(OnnxSettings(type=options.type), options.model, options.out, log)
    if options.json:
        print_json({"folder": str(options.out), "metrics": read_lineage(options.out).metrics})
    else:
        print(f"how a program calls it: {options.out / 'README.md'}", file=sys.stderr)
    return 0
