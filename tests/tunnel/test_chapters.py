"""Each chapter's method on planted data: what was put in is found, and what contradicts it is not called a success."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_tunnel import TINY

from dotori.errors import UserError
from dotori.recipe.schema import read_recipe
from dotori.train.objective import Batch
from dotori.train.settings import ModelSettings
from dotori.tunnel.batch_size import _law, _minima, tokens_for
from dotori.tunnel.branches import start_of, whole
from dotori.tunnel.coordinate_check import FLAT, activations, judged
from dotori.tunnel.job import Result
from dotori.tunnel.ladder import _noise, _with_language, held_out_tokens, law_of, predicted, rungs
from dotori.tunnel.page.verdicts import drift
from dotori.tunnel.schedules import _plan, lengths, mixing_noise
from dotori.tunnel.search import search
from dotori.tunnel.settings import TunnelSettings, base_settings, shape
from dotori.tunnel.transfer import _grown, _judged


def bowls(slope, noise=0.002, seed=0):
    """Losses of four widths whose best log2 rate moves `slope` doublings for each doubling of the width."""
    random = np.random.default_rng(seed)
    found = {}
    for number, width in enumerate((24, 48, 96, 192)):
        best = -7.0 + slope * number
        found[width] = {
            float(x): [2.5 - 0.1 * number + 0.03 * (x - best) ** 2 + random.normal(0, noise) for _ in range(2)]
            for x in range(-12, 0)
        }
    return found


def test_bowls_that_stay_transfer_and_bowls_that_move_do_not():
    still, moving = _judged(bowls(0.0), 0.002), _judged(bowls(-1.0), 0.002)
    assert drift(still | {"bowls": {}}).kind == "transfers"
    assert abs(still["drift_steps"]) < 0.3
    assert drift(moving | {"bowls": {}}).kind == "does not transfer"
    assert moving["drift_steps"] == pytest.approx(-3, abs=0.4)
    low, high = moving["drift_interval"]
    assert low <= -3 <= high or abs(moving["drift_steps"] + 3) < 0.3
    for width, rate in still["optimum"].items():
        assert math.log2(rate) == pytest.approx(-7, abs=0.4), width


def test_a_variant_that_never_trained_says_so():
    dead = {width: {step: [None] for step in (-8.0, -6.0, -4.0)} for width in (24, 48, 96, 192)}
    found = _judged(dead, 0.01)
    assert found["optimum"] is None
    assert drift(found) is None


def test_a_grid_grows_until_its_best_lies_inside():
    def run(steps):
        return {step: [(step - 3.2) ** 2] for step in steps}

    steps = {-2.0, 0.0, 2.0}
    for _ in range(8):
        steps = _grown(steps, run(steps))
    assert {2.0, 3.0, 4.0} <= steps
    assert _grown(steps, run(steps)) == steps
    assert _grown({0.0}, {0.0: [None]}) == {0.0, -2.0}  # all diverged: smaller rates


def curves(law_b, widths=(48,)):
    """Decayed losses by batch and tokens: tokens needed are least at the batch that the law a / L^b gives."""
    found = {}
    for batch in (512, 1024, 2048, 4096, 8192, 16384):
        points = []
        for loss in np.linspace(3.0, 2.2, 9):
            best = 2048 * (2.6 / loss) ** law_b
            needed = 3e5 * (3.2 / loss) ** 9 * (1 + 0.12 * math.log2(batch / best) ** 2)
            points.append([needed, float(loss)])
        found[batch] = sorted(points)
    return found


def test_a_planted_batch_law_is_found():
    minima = _minima(curves(5.0), 48)
    assert len(minima) >= 4
    for row in minima:
        assert row["batch_tokens"] == pytest.approx(2048 * (2.6 / row["loss"]) ** 5.0, rel=0.15)
    law, why = _law(minima)
    assert law is not None, why
    assert law["b"] == pytest.approx(5.0, abs=0.6)
    assert _law(minima[:1])[0] is None


def test_batches_without_preference_give_no_law_of_five():
    law, _ = _law(_minima(curves(0.0), 48))
    assert law is not None
    assert abs(law["b"]) < 0.5


def test_tokens_between_two_points_follow_a_power():
    assert tokens_for([[1e5, 4.0], [1e6, 2.0]], math.sqrt(8.0)) == pytest.approx(math.sqrt(1e11))
    assert tokens_for([[1e5, 4.0], [1e6, 2.0]], 1.9) is None


def ladder_chapter(noise=0.003, seed=1):
    random = np.random.default_rng(seed)
    points = []
    for width, n, own in (
        (48, 1.5e5, 0),
        (72, 3.3e5, 0),
        (96, 6.4e5, 0),
        (120, 1.1e6, 0),
        (96, 6.4e5, 1),
        (120, 1.1e6, 1),
    ):
        of_trunk = random.normal(0, noise)
        for part in (0.125, 0.25, 0.5, 1.0):
            d = part * 1.3e13 / (6 * math.sqrt(n * 1.1e6))
            value = planted(n, d) * math.exp(0.7 * of_trunk + 0.7 * random.normal(0, noise))
            points.append({"width": width, "seed": own, "n": n, "d": d, "bits_per_byte": {"ko": value}})
    empty = {name: {} for name in ("fits", "optimal", "band", "self_check")}
    return {"points": points, "unique_tokens": 10**9, "noise": {"ko": noise * 2.4}, **empty}


def planted(n, d):
    return 1.1 + ((40 * n**-0.33) ** (1 / 0.3) + (60 * d**-0.31) ** (1 / 0.3)) ** 0.3


def test_a_planted_law_foretells_the_larger_run():
    n, d = 1.8e6, 4 * 1.3e13 / (6 * 1.8e6)
    errors, inside = [], 0
    for seed in range(12):
        found = predicted(ladder_chapter(seed=seed), "ko", n, d)
        errors.append(abs(found["value"] / planted(n, d) - 1))
        inside += found["low"] <= planted(n, d) <= found["high"]
    assert np.median(errors) < 0.012
    assert inside >= 10


def test_instructions_are_judged_by_the_spread_of_their_own_seeds():
    answers = {"A-1": 2.90, "A-2": 2.70, "A-1 seed 1": 2.94, "A-2 seed 1": 2.68, "B-2": 2.8}
    # Pooled over two pairs: sqrt((0.04^2 + 0.02^2) / 2 / 2), widened by Student's t, 4.303 / 1.96.
    assert mixing_noise(answers) == pytest.approx(4.303 / 1.96 * math.sqrt(0.002 / 4))
    assert mixing_noise(answers | {"A-1": None}) == pytest.approx(12.706 / 1.96 * 0.02 / math.sqrt(2))
    assert mixing_noise({"A-1": 2.9, "A-2": 2.7, "B-2": 2.8}) is None


def test_the_ladders_noise_is_that_of_its_repeated_trunks():
    spreads = [_noise(ladder_chapter(noise=0.01, seed=seed)["points"], "ko") for seed in range(40)]
    # Planted: 1 % of about 2.4 bits, widened by Student's t of four pairs, 2.78 / 1.96.
    assert np.median(spreads) == pytest.approx(0.024 * 2.78 / 1.96, rel=0.3)
    apart = ladder_chapter(noise=0.0)["points"]
    assert _noise(apart, "ko") == pytest.approx(0.003 * min(point["bits_per_byte"]["ko"] for point in apart))
    for point in apart:
        point["bits_per_byte"]["ko"] += 0.1 * point["seed"]
    assert _noise(apart, "ko") > 0.09


def test_rungs_end_near_the_held_out_runs_tokens_and_the_largest_are_repeated(ground):
    largest = 1e12
    plan = rungs(ground, largest)
    longest = {(rung.heads, rung.seed): rung.tokens for rung in plan}  # the last of each is the longest
    assert sorted(longest) == [(2, 0), (3, 0), (3, 1), (4, 0), (4, 1)]
    assert len({rung.job.id for rung in plan}) == len(plan) == 20
    flops = {heads: 6 * ground.size(heads, heads) * tokens for (heads, _), tokens in longest.items()}
    assert flops[4] == pytest.approx(largest, rel=0.01)
    assert flops[2] / flops[4] == pytest.approx((ground.size(2, 2) / ground.size(4, 4)) ** 0.5, rel=0.01)
    assert 0.5 < longest[2, 0] / held_out_tokens(ground, largest) < 2


def test_a_shuffled_ladder_is_not_a_law():
    chapter = ladder_chapter()
    straight = _with_language(chapter, "ko", *law_of(chapter, "ko"))
    values = [point["bits_per_byte"]["ko"] for point in chapter["points"]]
    for point, value in zip(chapter["points"], np.random.default_rng(0).permutation(values), strict=True):
        point["bits_per_byte"]["ko"] = float(value)
    shuffled = _with_language(chapter, "ko", *law_of(chapter, "ko"))
    assert straight["self_check"]["ko"]["worst_error"] < 0.02
    assert shuffled["self_check"]["ko"]["worst_error"] > 3 * straight["self_check"]["ko"]["worst_error"]
    ratios = [chapter["optimal"]["ko"] for chapter in (straight, shuffled)]
    assert ratios[1]["high"] / ratios[1]["low"] > ratios[0]["high"] / ratios[0]["low"]


def rows_of(vocab):
    def rows(step):
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(3, vocab, (4, 33), generator=generator)
        return Batch(ids[:, :-1], ids[:, 1:], torch.zeros(4, 32, dtype=torch.int32))

    return rows


def checked(mup):
    """Activations at four widths; rates as the check itself uses them."""
    found = {}
    for width in (32, 64, 128, 256):
        heads = width // 16
        model = ModelSettings(
            hidden_size=width, num_hidden_layers=2, num_attention_heads=heads, num_key_value_heads=heads // 2
        )
        s = replace(base_settings(), model=model, context=32, optimizer="adamw", lr=0.001, mup=mup)
        found[width] = [activations(s, 96, 4, rows_of(96), seed) for seed in range(2)]
    return judged(found)


def test_the_coordinate_check_passes_with_the_rules_and_fails_without():
    with_rules, without = checked(True), checked(False)
    assert with_rules["passed"]
    assert not without["passed"]
    assert without["slopes"]["layer 1 mlp"]["low"] > FLAT
    assert abs(with_rules["slopes"]["layer 0 residual stream"]["slope"]) < FLAT
    assert len(with_rules["activations"]["logits"]["32"]) == 5


def test_lengths_are_whole_steps_and_starts_lie_before_their_ends(ground):
    for longest in (300_000, 1_234_567):
        ends = lengths(ground, longest)
        assert len(set(ends)) == 5
        assert all(end % 128 == 0 for end in ends)
    assert whole(1, 128) == 1280
    assert start_of(1280, 0.1, 128) == 1152
    assert start_of(1280, 0.001, 128) == 1152  # one step at least


def test_both_schedules_end_at_the_same_tokens_whatever_the_longest(ground):
    for longest in range(300_000, 303_000, 61):
        plan = _plan(ground, longest, {"wsd": 0, "cosine": 0})
        assert [end for end in plan["cosine"] if not str(end).startswith("seed")] == list(plan["wsd"])


def test_a_batch_law_through_losses_that_hardly_differ_is_none():
    rows = [{"width": 24, "loss": 3.02 - 0.02 * n, "batch_tokens": 512 * 2**n} for n in range(3)]
    law, why = _law(rows)
    assert law is None
    assert "the losses lie too close together" in why


def test_a_budget_that_fits_nothing_is_told_the_least_that_does(ground):
    with pytest.raises(UserError, match=r"the chapter search needs at least .* minutes of budget on this machine"):
        search(replace(ground, s=replace(ground.s, minutes=0.001)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"minutes": 0.0}, "budget: 0 minutes"),
        ({"unit": 12}, "unit: 12"),
        ({"bowl_heads": (1, 2, 4)}, "four widths over an 8-fold range"),
        ({"ladder_heads": (2, 3)}, "three sizes at least"),
        ({"held_out_heads": 3}, "larger than all"),
        ({"batch_sizes": (100, 200)}, "a multiple of the context"),
        ({"seeds": 1}, "two at least"),
    ],
)
def test_impossible_settings_are_refused(changed, message):
    with pytest.raises(UserError, match=message):
        TunnelSettings(train=TINY, **({"unit": 8} | changed))


def test_sizes_grow_in_proportion(small):
    shapes = [shape(small, heads, heads) for heads in small.ladder_heads]
    assert all(one.hidden_size / one.num_hidden_layers == small.unit for one in shapes)


def test_a_diverged_run_never_wins():
    assert Result("a", "diverged").score == float("inf")
    assert Result("b", "done", {"ko": 2.0, "en": 3.0}).score == 2.5


def test_without_a_recipe_the_tunnel_starts_from_the_run_of_its_recipe():
    recipe = read_recipe(Path(__file__).parents[2] / "recipes/tunnel_koen.toml", [])
    [train] = [table.settings for table in recipe.tables if table.kind == "train"]
    given = base_settings()
    assert replace(train, phases=(), seed=given.seed) == given
