"""The command itself: help without torch, exit codes as documented, one message and no traceback for bad input."""

import subprocess
import sys
import time

import pytest

from dotori.cli.main import VERBS, main

DOTORI = [sys.executable, "-m", "dotori.cli.main"]


def run(*words, **options):
    return subprocess.run([*DOTORI, *words], capture_output=True, text=True, timeout=60, **options)


def test_help_is_quick_and_names_every_verb():
    started = time.perf_counter()
    done = run("--help")
    seconds = time.perf_counter() - started
    assert done.returncode == 0
    assert seconds < 1.0, "0.03 s on an idle machine; something heavy is imported"
    for verb, parts in VERBS.items():
        assert verb in done.stdout
        assert all(part in done.stdout for part in parts if isinstance(parts, dict))


def test_help_loads_only_ourselves_and_the_standard_library():
    code = "import sys; from dotori.cli.main import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("'torch'", "'numpy'", "'pydantic'", "'rich'"):
        assert heavy not in done.stderr


@pytest.mark.parametrize(
    "words",
    [[verb] if isinstance(parts, str) else [verb, part] for verb, parts in VERBS.items() for part in parts or [""]],
)
def test_each_verb_explains_itself(words, capsys):
    words = words if isinstance(VERBS[words[0]], dict) else words[:1]
    assert main([*words, "--help"]) == 0
    assert f"dotori {' '.join(words)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chatt"], "did you mean 'chat'"),
        (["eval", "bbp"], "did you mean 'bpb'"),
        (["chat"], "model"),
        (["chat", "m", "--temprature", "1"], "--temprature: no such argument; did you mean '--temperature'"),
        (["chat", "m", "hello"], "'hello': one word too many; `dotori chat --help`"),
        (["serve", "m", "--prot=9000"], "--prot: no such argument; did you mean '--port'"),
        (["serve", "m", "--port", "80x"], "--port: invalid int value: '80x'; `dotori serve --help`"),
        (["export", "onnx", "m", "--out", "o", "--type", "int3"], "invalid choice: 'int3'"),
        (["run", "r.toml", "--stop-after", "9 minutes"], "9m"),
    ],
)
def test_wrong_words_end_in_2(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("dotori: ")
    assert error.count("\n") == 1


def test_a_verb_with_parts_lists_them(capsys):
    assert main(["eval"]) == 2
    assert "storyworld" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["chat", "no-such-model", "--prompt", "안녕"],
        ["run", "no-such-recipe.toml"],
        ["run", "."],
        ["verify", "no-such-folder"],
        ["inspect", "no-such-folder"],
        ["eval", "bpb", "no-such-model", "no-such-file"],
        ["export", "gguf", "no-such-model", "--out", "never-made"],
    ],
)
def test_bad_input_is_one_message(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 65
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dotori: ")
    assert ";" in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_dead_pipe_is_no_error():
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m dotori.cli.main --help | head -c 1 >/dev/null; echo $?"],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")


def test_version(capsys):
    import dotori

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"dotori {dotori.__version__}"
