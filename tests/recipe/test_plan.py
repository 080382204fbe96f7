"""The dry run: it makes nothing, its sizes are those of the run, and what cannot be is refused before a tensor is."""

import json
from dataclasses import replace

import pytest

from dotori.checkpoint.lineage import read_lineage
from dotori.cli.main import main
from dotori.errors import UserError
from dotori.model.count import flops_per_token, parameters, training_memory_bytes
from dotori.recipe.plan import check, plan_lines, plan_recipe
from dotori.recipe.schema import read_recipe


def plan_of(micro_recipe, folder, *assignments):
    return plan_recipe(read_recipe(micro_recipe, assignments), folder, probe_seconds=0.05)


def test_sizes_and_tokens_are_those_of_the_run(micro_recipe, micro_run, tmp_path):
    plan = plan_of(micro_recipe, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    rows = {row.name: row for row in plan.rows}
    assert list(rows) == ["tokenizer", "data", "train", "decay", "sft", "export-q4_0", "eval", "report"]
    for name in ("train", "decay", "sft"):
        metrics = read_lineage(micro_run / name).metrics
        assert rows[name].parameters == metrics["parameters"]
        assert rows[name].tokens == metrics["tokens"]
        assert rows[name].seconds > 0
        assert rows[name].state == "new"
    assert {row.state for row in plan_of(micro_recipe, micro_run).rows} == {"made"}


def test_flops_are_counted_by_the_model_and_longer_runs_cost_more(micro_recipe, tmp_path):
    short, long = (plan_of(micro_recipe, tmp_path, f"train.steps={steps}") for steps in (10, 1000))
    row = next(row for row in long.rows if row.name == "train")
    recipe = read_recipe(micro_recipe)
    config = recipe.table("train").settings.model.config(500, 64, (0, 2, 0))
    assert row.flops == 1000 * 512 * flops_per_token(config, 64)
    assert row.parameters == parameters(config)
    assert long.json()["seconds"] > short.json()["seconds"]
    assert "in all about" in "\n".join(plan_lines(long))


def test_memory_grows_with_what_runs_at_once(micro_recipe):
    config = read_recipe(micro_recipe).table("train").settings.model.config(500, 64, (0, 2, 0))
    small, large = (training_memory_bytes(config, tokens, 64, "cpu") for tokens in (512, 8192))
    assert small < large
    assert training_memory_bytes(replace(config, vocab_size=50_000), 512, 64, "cpu") > small + 16 * 49_500 * 64


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (["train.model.hidden_size=40000", "train.model.num_attention_heads=400"], r"\[train\].*this machine has"),
        (["train.model.num_attention_heads=7"], r"\[train\] model.*num_attention_heads"),
        (["sft.context=512", "sft.batch_tokens=1024"], r"\[sft\]: context 512; the model holds 256"),
        (["train.phases=[{weights={stroy=1.0}}]"], r"domain 'stroy'; did you mean 'story'"),
        (["data.domains.chat.format='text'"], r"no chat domain"),
        (["train.init_optimizer=true"], r"init_optimizer without init"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_made(micro_recipe, tmp_path, assignments, said):
    recipe = read_recipe(micro_recipe, assignments)
    with pytest.raises(UserError, match=said):
        check(recipe, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_verb_prints_a_table_or_json(micro_recipe, tmp_path, capsys):
    words = ["run", str(micro_recipe), "--out", str(tmp_path / "out"), "--dry-run"]
    assert main(words) == 0
    assert "GFLOP/s" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in plan["rows"]][:2] == ["tokenizer", "data"]
    assert plan["seconds"] > 0
    assert not (tmp_path / "out").exists()
