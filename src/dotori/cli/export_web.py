"""`dotori export web`.

MODEL is a GGUF file or an export folder. The folder can be put on any static host; phones install it from there and use
it with the network off. Engine, search and PDF text come from npm packages that are not part of Dotori: give the files
that `npm pack` made (their hashes are pinned), or --npm to run npm here. Packages found once stay in a cache.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.options import add_json, add_out, print_json, size
from dotori.export.npm import PACKAGES, REQUIRED


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", type=Path, help="GGUF file or export folder")
    add_out(parser)
    add_app(parser)
    add_json(parser)


def add_app(parser: ArgumentParser) -> None:
    """What both kinds of app take."""
    parser.add_argument("--name", default="", help="shown in the app (default: the file's own name)")
    parser.add_argument("--context", type=int, default=0, metavar="TOKENS", help="a shorter context saves memory")
    parser.add_argument(
        "--part", type=size, default=16 << 20, metavar="SIZE", help="of the model's parts (default 16MiB)"
    )
    parser.add_argument("--npm", action="store_true", help="let npm fetch the packages that are missing")
    for key, package in PACKAGES.items():
        need = "" if key in REQUIRED else ", optional"
        words = f"{package.file} of npm pack {package.name}@{package.version}{need}"
        parser.add_argument(f"--{key}", type=Path, metavar="FILE", help=words)


def app_options(options: Namespace) -> tuple:
    """(settings, packages) of the arguments that `add_app` declared."""
    from dotori.export.npm import find_packages
    from dotori.export.web import WebSettings

    given = {key: getattr(options, key.replace("-", "_")) for key in PACKAGES}
    s = WebSettings(name=options.name, part_bytes=options.part, context=options.context)
    return s, find_packages(given, options.npm)


def run(options: Namespace) -> int:
    """Writes the app's folder and says how to host it."""
    from dotori.export.web import export_web
    from dotori.export.web_card import HOSTING, size_rows
    from dotori.runlog import RunLog

    s, packages = app_options(options)
    with RunLog() as log:
        metrics = export_web(s, options.model, packages, options.out, log)
    if options.json:
        print_json({"folder": str(options.out), "metrics": metrics})
        return 0
    for words, count in size_rows(metrics):
        print(f"{count / 1e6:8.2f} MB  {words}", file=sys.stderr)
    print(f"\n{HOSTING.replace('FOLDER', str(options.out))}", file=sys.stderr)
    for key in PACKAGES.keys() - packages.keys():
        loss = "Safari and older browsers cannot run it" if key == "wllama-compat" else "PDF files cannot be read"
        print(f"without --{key}: {loss}", file=sys.stderr)
    return 0
