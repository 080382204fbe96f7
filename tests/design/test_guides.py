"""The guides are run: their commands and Python on a finished run, their recipes through the checks of a recipe."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dotori.cli.main import VERBS, main
from dotori.recipe.schema import check_recipe

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "README.md", ROOT / "README.ko.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


# Its Python and curl need a server: tests/serve/test_guide.py runs them.
SERVED = ROOT / "docs" / "serve.md"


def blocks(language: str, starts: str = "") -> list:
    return [
        pytest.param(text, id=f"{path.stem}-{number}")
        for path in GUIDES
        if language != "python" or path != SERVED
        for number, (found, text) in enumerate(BLOCK.findall(path.read_text()))
        if found == language and re.search(rf"^{starts}", text, re.MULTILINE)
    ]


@pytest.fixture
def in_a_clone(micro_run, tmp_path, monkeypatch):
    """A folder as the guides assume it: recipes/ beside a finished runs/demo, and a text of one's own."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(micro_run)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "my.txt").write_text("다람쥐가 도토리를 숨겼어요.\n\nThe squirrel hid an acorn.\n")
    (tmp_path / "corpus" / "my.txt").write_text("다람쥐가 도토리를 숨겼어요.\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("text", blocks("", "dotori "))
def test_commands_are_those_that_exist_and_the_quick_ones_run(text, in_a_clone, capsys):
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] != "dotori":
            continue
        assert words[1] in VERBS, line
        # Apps need packages that are not here, and the other formats an extra: their own tests run those.
        is_quick = (
            words[1] in ("inspect", "verify")
            or words[1:3] == ["export", "gguf"]
            or "--dry-run" in words
            or "--prompt" in words
        )
        is_quick |= words[1] == "eval" and words[2] == "bpb"
        code = main(words[1:] if is_quick else [*words[1:], "--help"])
        assert code == 0, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("text", blocks("python"))
def test_python_runs(text, in_a_clone):
    exec(compile(text, "guide", "exec"), {})


BASE = {
    "tokenizer": {"stage": "tokenizer", "domains": "${data.domains}"},
    "data": {"stage": "data", "tokenizer": "tokenizer", "domains": {"a": {"storyworld": {}}}},
    "pretrain": {
        "stage": "train",
        "data": "data",
        "steps": 1,
        "model": {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1},
    },
    "sft": {"stage": "sft", "init": "pretrain", "data": "data", "steps": 1},
}


@pytest.mark.parametrize("text", blocks("toml"))
def test_recipes_are_accepted(text, in_a_clone):
    check_recipe(BASE | tomllib.loads(text), where="guide")


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    for target in LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), f"{path.name}: {target} is not there"


def test_every_verb_and_every_setting_of_training_is_explained():
    words = "\n".join(path.read_text() for path in GUIDES)
    for verb, parts in VERBS.items():
        for name in [verb] if isinstance(parts, str) else [f"{verb} {part}" for part in parts]:
            assert f"dotori {name}" in words, f"dotori {name} stands in no guide"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_nothing_is_left_to_fill_in(path):
    assert "@@" not in path.read_text()
    assert not re.search(r"\b(TODO|TBD|FIXME)\b", path.read_text())


def test_the_reference_is_what_the_code_says():
    checked = subprocess.run([sys.executable, str(ROOT / "docs" / "reference.py"), "--check"], check=False)
    assert checked.returncode == 0, "docs/reference.md: the code has changed; run make docs"
