"""`dotori eval bpb`.

Files are .txt, .jsonl or .parquet, the first two also as .gz and .zst; folders and globs of them. A document whose
letters are more than 30 % Hangul is Korean, unless --lang says otherwise.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from dotori.cli.options import add_json, print_json


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", help="model folder, export folder or .gguf file")
    parser.add_argument("files", nargs="+", metavar="FILE", help="text to predict")
    parser.add_argument("--field", default="text", metavar="NAME", help="the field that holds the text (default text)")
    parser.add_argument("--lang", choices=("ko", "en"), help="the language of all documents (default: found)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    add_json(parser)


def run(options: Namespace) -> int:
    """Measures and prints."""
    from dotori.evaluate.bpb import evaluate_bpb
    from dotori.runlog import RunLog
    from dotori.runtime.open import open_model

    session = open_model(options.model, threads=options.threads)
    with RunLog() as log:
        report: dict[str, Any] = evaluate_bpb(session, options.files, options.field, options.lang, log)
    if options.json:
        print_json(report)
        return 0
    rows = [(row["path"], row) for row in report["files"]]
    rows += [(f"all {lang}", row) for lang, row in report["languages"].items()]
    print(f"{'bits per byte':>13} {'95 %':>8} {'bytes':>12} {'documents':>10}  text")
    for name, row in rows:
        half = f"±{(row['ci95'][1] - row['ci95'][0]) / 2:.3f}" if row["ci95"] else ""
        print(f"{row['bits_per_byte']:13.4f} {half:>8} {row['bytes']:12,} {row['documents']:10,}  {name}")
    return 0
