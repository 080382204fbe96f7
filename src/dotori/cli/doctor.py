"""`dotori doctor`.

Reads memory, multiplies integers and, with --storage, reads a file of its own in that folder: some seconds in all. The
device profile (TOML) goes to stdout or, with --out, into a file.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from dotori.cli.options import add_json, print_json


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("--threads", type=int, metavar="N", help="threads to measure with (default: all cores)")
    parser.add_argument("--storage", type=Path, metavar="FOLDER", help="also measure reads in this folder (512 MiB)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the profile there")
    add_json(parser)


def run(options: Namespace) -> int:
    """Measures and prints or writes."""
    from dotori.device import profile_toml
    from dotori.errors import UserError
    from dotori.files import atomic_write
    from dotori.runlog import RunLog
    from dotori.runtime.doctor import examine

    if options.threads is not None and options.threads < 1:
        raise UserError(f"threads: {options.threads}; at least 1; leave it out to use all cores")
    with RunLog() as log:
        profile = examine(options.threads, options.storage, log)
    if options.out is not None:
        atomic_write(options.out, profile_toml(profile).encode())
    if options.json:
        print_json(asdict(profile))
    elif options.out is None:
        print(profile_toml(profile), end="")
    return 0
