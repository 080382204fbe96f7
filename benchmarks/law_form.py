"""Which form the ladder's law should have: finished tunnels fitted with several gammas (dotori/tunnel/power_law.py).

    python benchmarks/law_form.py runs/tunnel runs/other-tunnel [--bytes 400000]

For each gamma, tunnel and language: the scatter of the runs around the law, and how far it is off at the held-out run,
which no fit has seen. gamma = 1 is the plain sum. `--bytes` measures the models of the ladder again, on so much
held-out text of each language.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import write

from dotori.checkpoint.folder import read_model
from dotori.files import read_json
from dotori.train.validate import bits_per_byte
from dotori.tunnel.ladder import arrays
from dotori.tunnel.power_law import effective_tokens, fit_power_law

GAMMAS = (1.0, 0.7, 0.5, 0.35, 0.3, 0.25, 0.2)


def fitted(chapter: dict[str, Any], language: str, gamma: float) -> dict[str, float]:
    """Scatter and relative error at the held-out run of one ladder."""
    trunks = [(point["width"], point.get("seed", 0)) for point in chapter["points"]]
    fit = fit_power_law(*arrays(chapter, language), groups=trunks, gamma=gamma)
    told, measured = chapter["prediction"], chapter["held_out"]["bits_per_byte"][language]
    seen = effective_tokens(float(told["d"]), float(chapter["unique_tokens"]))
    return {"scatter": round(fit.scatter, 5), "error": round(float(fit.predict(told["n"], seen)) / measured - 1, 5)}


def measured_again(folder: Path, chapter: dict[str, Any], size: int) -> None:
    """Puts figures over `size` bytes a language in the place of the chapter's own."""
    for row in [*chapter["points"], chapter["held_out"]]:
        model, config = read_model(folder / "runs" / row["run"])
        with torch.autocast("cpu", torch.bfloat16):
            row["bits_per_byte"] = bits_per_byte(model, folder / "data", config.max_position_embeddings, size)


def main() -> None:
    """Fits and writes results/law_form.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--bytes", type=int, help="measure the models again on so much text")
    options = parser.parse_args()
    chapters = [read_json(folder / "ladder.json", "ladder") for folder in options.folders]
    for folder, chapter in zip(options.folders, chapters, strict=True):
        if options.bytes:
            measured_again(folder, chapter, options.bytes)
    report: dict[str, Any] = {"bytes": options.bytes}
    for gamma in GAMMAS:
        rows = [{code: fitted(one, code, gamma) for code in one["held_out"]["bits_per_byte"]} for one in chapters]
        every = [figures for row in rows for figures in row.values()]
        report[f"{gamma:g}"] = {
            "tunnels": rows,
            "mean_scatter": round(float(np.mean([figures["scatter"] for figures in every])), 5),
            "mean_absolute_error": round(float(np.mean([abs(figures["error"]) for figures in every])), 5),
        }
    write("law_form", report)


if __name__ == "__main__":
    main()
