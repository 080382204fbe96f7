"""Recipes: what is refused and how it is said, order, references, and the resolved copy."""

import re
from pathlib import Path

import pytest

from dotori.errors import UserError
from dotori.recipe.schema import check_recipe, read_recipe, to_toml

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
MODEL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def mapping(**changes):
    recipe = {
        "tokenizer": {"stage": "tokenizer", "domains": "${data.domains}", "vocab_size": 500},
        "data": {"stage": "data", "tokenizer": "tokenizer", "domains": {"text": {"storyworld": {"count": 9}}}},
        "train": {"stage": "train", "data": "data", "steps": 9, "model": MODEL},
    }
    for name, table in changes.items():
        recipe[name] = recipe.get(name, {}) | table
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_is_accepted(path, tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    recipe = read_recipe(path, [f"data.root={folder}"] if "data.root" in path.read_text() else [])
    assert recipe.name == path.stem
    if path.stem.startswith("tunnel"):  # what the wind tunnel starts from, and no more
        assert [table.kind for table in recipe.tables] == ["tokenizer", "data", "train"]
        return
    assert [table.kind for table in recipe.tables][-1] == "report"
    assert {"tokenizer", "data", "train", "sft", "export", "evaluate"} <= {table.kind for table in recipe.tables}
    assert {table.settings.type for table in recipe.tables if table.kind == "export"} == {"Q4_0", "Q8_0"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_resolved_copy_makes_the_same_recipe(path, tmp_path):
    recipe = read_recipe(path)
    (tmp_path / "resolved.toml").write_text(to_toml(recipe))
    assert read_recipe(tmp_path / "resolved.toml") == recipe


def test_tables_stand_behind_what_feeds_them_whatever_the_order_in_the_file():
    backwards = dict(reversed(mapping().items()))
    assert [table.name for table in check_recipe(backwards).tables] == ["tokenizer", "data", "train"]


def test_a_whole_value_can_be_referred_to_and_overridden():
    recipe = check_recipe(mapping(), ["data.domains.text.storyworld.count=77", "train.lr=3e-3"])
    assert recipe.table("tokenizer").settings.domains["text"].storyworld.count == 77
    assert recipe.table("train").settings.lr == 3e-3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"stepz": 4}}, r"\[train\].*stepz.*did you mean 'steps'"),
        ({"train": {"stage": "trian"}}, r"trian.*did you mean 'train'"),
        ({"train": {"data": "dataa"}}, r"data got 'dataa'.*did you mean 'data'"),
        ({"train": {"steps": -3}}, r"\[train\].*steps: -3"),
        ({"train": {"steps": "many"}}, r"\[train\].*steps.*many"),
        ({"train": {"tokens": 5}}, r"exactly one of tokens, steps, minutes"),
        ({"train": {"context": 1}}, r"context: 1; at least 2"),
        ({"train": {"batch_tokens": 1000}}, r"batch_tokens: 1000; a multiple of context.*write 1024"),
        ({"train": {"model": MODEL | {"hidden": 3}}}, r"hidden"),
        ({"tokenizer": {"vocab_size": 3}}, r"\[tokenizer\].*vocab_size.*3"),
        ({"data": {"domains": {"a": {"paths": ["x"], "storyworld": {}}}}}, r"either paths or storyworld"),
        ({"data": {"domains": {}}}, r"domains: none"),
        ({"data": {"tokenizer": ["tokenizer", "train"]}}, r"tokenizer got a list"),
        ({"tokenizer": {"domains": "${data.domain}"}}, r"data.domain.*names nothing"),
        ({"a/b": {"stage": "report"}}, r"names a folder"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_the_fix(changes, said):
    with pytest.raises(UserError, match=said) as caught:
        check_recipe(mapping(**changes), where="r.toml")
    assert str(caught.value).count(";") >= 1


def test_a_missing_input_a_circle_and_an_unknown_key_are_refused():
    broken = mapping()
    del broken["data"]["tokenizer"]
    with pytest.raises(UserError, match="input 'tokenizer' is missing"):
        check_recipe(broken)
    circle = mapping(train={"init": "again"}, again={"stage": "train", "init": "train", "data": "data", "steps": 1})
    with pytest.raises(UserError, match="feed each other in a circle"):
        check_recipe(circle)
    with pytest.raises(UserError, match="unknown key 'seeed'; did you mean 'seed'"):
        check_recipe(mapping() | {"seeed": 3})


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"[train\n", "TOML"), (b"\xff\xfe", "UTF-8"), (b"", "no stage"), (b"train = 3\n", "unknown key 'train'")],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, said):
    path = tmp_path / "broken.toml"
    path.write_bytes(text)
    with pytest.raises(UserError, match=re.compile(said, re.IGNORECASE)):
        read_recipe(path)
