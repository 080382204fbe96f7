"""`dotori export executorch`.

For apps on ExecuTorch (Android, iOS): one method with its key/value cache inside, on the XNNPACK backend. The file is
run on this machine and must give the model's logits and greedy ids. Lowering takes minutes. Needs the extra `mobile`.
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
    parser.add_argument("--type", choices=("fp32", "8da4w"), default="8da4w", help="default 8da4w")
    parser.add_argument("--context", type=int, default=0, metavar="N", help="positions held (default: the model's)")
    add_json(parser)


def run(options: Namespace) -> int:
    """Writes the export folder."""
    from dotori.checkpoint.lineage import read_lineage
    from dotori.export.executorch import ExecutorchSettings, export_executorch
    from dotori.runlog import RunLog

    wanted = ExecutorchSettings(type=options.type, context=options.context)
    with RunLog() as log:
        export_executorch(wanted, options.model, options.out, log)
    file = options.out / f"model-{options.type}.pte"
    if options.json:
        print_json({"file": str(file), "metrics": read_lineage(options.out).metrics})
    else:
        print(f"how an app calls it: {options.out / 'README.md'}", file=sys.stderr)
    return 0
