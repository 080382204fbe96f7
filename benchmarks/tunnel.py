"""What a finished wind tunnel found and cost, in one small file that the documentation quotes.

    dotori tunnel recipes/tunnel_koen.toml --set data.root=PATH --budget 60m --out runs/tunnel
    python benchmarks/tunnel.py runs/tunnel

Checks the folder as `dotori verify` does first; a folder that fails gives no figures.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from measure import write

from dotori.files import read_json
from dotori.recipe.verify import verify
from dotori.tunnel.ground import read_chapter
from dotori.tunnel.settings import CHAPTERS

KEPT = {
    "check": ("passed", "widths"),
    "search": ("default", "best", "default_bits_per_byte", "best_bits_per_byte", "noise", "is_better", "importance"),
    "transfer": ("tokens_a_run", "noise", "chosen"),
    "batch": ("tokens_a_run", "minima", "law", "priors", "chosen_batch_tokens"),
    "schedules": (
        "wsd",
        "cosine",
        "noise",
        "share",
        "decay_lengths",
        "forms",
        "mixing",
        "mixing_noise",
        "rate_factors",
    ),
    "ladder": ("rates", "chosen", "fits", "noise", "optimal", "self_check", "prediction", "held_out"),
}
OF_A_VARIANT = ("optimum", "drift_steps", "drift_interval", "best_bits_per_byte")


def summary(folder: Path) -> dict[str, Any]:
    """The headline figures of every chapter that was run, and what it cost."""
    chapters = {name: chapter for name in CHAPTERS if (chapter := read_chapter(folder, name)) is not None}
    found: dict[str, Any] = {"runs": len({run for chapter in chapters.values() for run in chapter["evidence"]})}
    for name, chapter in chapters.items():
        found[name] = {key: chapter[key] for key in KEPT[name] if key in chapter}
        found[name] |= {key: chapter[key] for key in ("tokens", "core_seconds")}
        if name == "check":
            found[name]["slopes"] = {
                variant: {part: round(row["slope"], 3) for part, row in figures["slopes"].items()}
                for variant, figures in chapter["variants"].items()
            }
        if name == "transfer":
            found[name]["variants"] = {
                variant: {key: figures.get(key) for key in OF_A_VARIANT}
                for variant, figures in chapter["variants"].items()
            }
    found["packing"] = read_json(folder / "machine.json", "measured machine")["packing"]
    return found


def main() -> None:
    """Reads, checks and writes results/tunnel.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    failed = [check for check in verify(options.folder) if check.status == "failed"]
    if failed:
        raise SystemExit(f"{options.folder}: {failed[0].name}: {failed[0].detail}")
    write("tunnel", summary(options.folder))


if __name__ == "__main__":
    main()
