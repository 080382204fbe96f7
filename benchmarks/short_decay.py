"""What a run of few steps wants: a decay of 10 or 20 % of it at several rates, beside cosine, one seed each.

    python benchmarks/short_decay.py runs/tunnel

`runs/tunnel` is a finished tunnel of recipes/tunnel_koen.toml; its dataset, constants, rates and shortest length are
taken. Rates are factors of the bowls' best, as in the tunnel's chapter on schedules.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from measure import write

from dotori.files import read_json
from dotori.recipe.schema import read_recipe
from dotori.runlog import RunLog
from dotori.tunnel.branches import Trunk, start_of
from dotori.tunnel.ground import Ground
from dotori.tunnel.job import Job
from dotori.tunnel.queue import open_queue
from dotori.tunnel.settings import TunnelSettings
from dotori.tunnel.tunnel import tuned

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "tunnel_koen.toml"
SHARES, FACTORS, LAYERS = (0.1, 0.2), (0.25, 0.354, 0.5, 0.71, 1.0, 1.41), 2
COSINE_FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0)


def planned(ground: Ground, tokens: int) -> dict[str, dict[str, Job]]:
    """All runs of `tokens`, by schedule and by rate."""
    heads, batch = ground.s.schedule_heads, ground.s.train.batch_tokens
    starts = {share: start_of(tokens, share, batch) for share in SHARES}
    jobs: dict[str, dict[str, Job]] = {f"decay {share:g}": {} for share in SHARES}
    for factor in FACTORS:
        trunk = Trunk(ground, heads, LAYERS, starts.values(), f"WSD, rate x {factor:g}", ground.rates(factor))
        for share, start in starts.items():
            jobs[f"decay {share:g}"][f"{factor:g}"] = trunk.decayed(tokens, start)
    jobs["cosine"] = {}
    for factor in COSINE_FACTORS:
        given = ground.rates(factor) | {"schedule": "cosine", "lr_floor": 0.1}
        settings = ground.settings(heads, LAYERS, tokens, given)
        jobs["cosine"][f"{factor:g}"] = ground.job(settings, f"cosine, rate x {factor:g}")
    return jobs


def main() -> None:
    """Measures and writes results/short_decay.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a finished tunnel")
    folder = parser.parse_args().folder
    tokens = read_json(folder / "schedules.json", "chapter")["lengths"][0]
    [train] = [table.settings for table in read_recipe(RECIPE, []).tables if table.kind == "train"]
    s = TunnelSettings(train=train)
    with tempfile.TemporaryDirectory() as scratch, RunLog() as log:
        out = Path(scratch)
        shutil.copy(folder / "machine.json", out)
        with open_queue(out, folder / "data", log, lambda: None, s.workers) as queue:
            queue.measure([])
            jobs = planned(Ground(s, queue, out, log, False, tuned(folder, "schedules")), tokens)
            results = queue.run([job for runs in jobs.values() for job in runs.values()], "short decays")
    found = {name: {rate: round(results[job.id].score, 4) for rate, job in runs.items()} for name, runs in jobs.items()}
    report = {"tokens": tokens, "steps": tokens // s.train.batch_tokens, "bits_per_byte": found}
    write("short_decay", report)


if __name__ == "__main__":
    main()
