"""The whole tunnel in small: every chapter on the story world, its page, and what verify says of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_tunnel import TINY

from dotori.cli.main import main
from dotori.errors import UserError
from dotori.files import sha256_file, to_json
from dotori.recipe.verify import verify
from dotori.runlog import RunLog
from dotori.train.settings import Phase
from dotori.tunnel import batch_size, ladder, schedules, search, transfer
from dotori.tunnel.ground import TooShortError
from dotori.tunnel.job import read_result
from dotori.tunnel.settings import CHAPTERS, SHARES, TunnelSettings
from dotori.tunnel.tunnel import chapters_of, run_tunnel, tuned

SMALL = TunnelSettings(
    train=replace(TINY, batch_tokens=1024, warmup_steps=4, phases=(Phase(weights={"story": 1.0}),), lr=0.01),
    minutes=1000.0,
    unit=8,
    check_widths=(16, 32, 64),
    check_steps=2,
    search_heads=2,
    search_trials=8,
    batch_sizes=(512, 1024, 2048),
    batch_heads=(2,),
    ladder_heads=(2, 3, 4),
    held_out_heads=5,
    chat={"chat": 1.0},
    workers=2,
)


@pytest.fixture(scope="module")
def short_runs():
    """Chapters whose longest run is short, whatever the budget."""
    with pytest.MonkeyPatch.context() as patch:
        for chapter, tokens in ((search, 20_000), (transfer, 20_000), (batch_size, 100_000), (schedules, 100_000)):
            patch.setattr(chapter, "LEAST_TOKENS", tokens)
            patch.setattr(chapter, "MOST_TOKENS", tokens)
        patch.setattr(ladder, "LEAST_STEPS", 20)
        patch.setattr(ladder, "MOST_STEPS", 20)
        yield


@pytest.fixture(scope="module")
def made(short_runs, data, tmp_path_factory) -> Path:
    """A finished tunnel, small."""
    folder = tmp_path_factory.mktemp("whole") / "tunnel"
    with RunLog(quiet=True) as log:
        run_tunnel(SMALL, data, folder, None, log, lambda: None, "my-recipe.toml")
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """A copy to alter."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def failed(folder: Path) -> set[str]:
    return {check.name for check in verify(folder) if check.status == "failed"}


@pytest.mark.slow
def test_every_chapter_and_the_page_are_there_and_verify(made):
    for name in CHAPTERS:
        chapter = json.loads((made / f"{name}.json").read_text())
        assert chapter["evidence"] or name == "check", name
    text = (made / "index.html").read_text()
    assert "my-recipe.toml" in text
    assert not failed(made)
    names = {check.name for check in verify(made)}
    assert {"runs", "prediction before run", "prediction, made again", "held-out run, figures"} <= names


@pytest.mark.slow
def test_the_held_out_run_is_larger_than_all_and_predicted(made):
    chapter = json.loads((made / "ladder.json").read_text())
    assert chapter["prediction"]["times_largest"] == pytest.approx(4, rel=0.1)
    assert chapter["held_out"]["status"] == "done"
    for language, error in chapter["held_out"]["error"].items():
        measured = chapter["held_out"]["bits_per_byte"][language]
        assert error == pytest.approx(chapter["prediction"][language]["value"] / measured - 1)


@pytest.mark.slow
def test_one_trunk_costs_less_than_runs_of_their_own(made):
    chapter = json.loads((made / "schedules.json").read_text())
    assert chapter["share"] < 0.45
    assert set(chapter["mixing"]) == {"A-1", "A-2", "B-2"}
    assert chapter["mixing_noise"] is None  # the story world holds no conversations back: nothing was measured
    assert chapter["mixing"]["B-2"]["tokens"] == 2 * chapter["mixing"]["A-1"]["tokens"]


@pytest.mark.slow
def test_the_same_call_makes_nothing_again(made, data, copy):
    before = {path.name: path.stat().st_mtime_ns for path in (copy / "runs").glob("*/lineage.json")}
    chapters = {name: json.loads((copy / f"{name}.json").read_text()) for name in CHAPTERS}
    with RunLog(quiet=True) as log:
        run_tunnel(SMALL, data, copy, None, log, lambda: None, "my-recipe.toml")
    assert before == {path.name: path.stat().st_mtime_ns for path in (copy / "runs").glob("*/lineage.json")}
    again = {name: json.loads((copy / f"{name}.json").read_text()) for name in CHAPTERS}
    assert again == chapters


@pytest.mark.slow
@pytest.mark.parametrize("what", ["figure", "weight", "prediction", "later prediction", "settings"])
def test_verify_sees_what_was_altered(copy, what):
    chapter = json.loads((copy / "ladder.json").read_text())
    run = chapter["points"][0]["run"]
    if what == "figure":
        chapter["held_out"]["bits_per_byte"] = {name: 1.0 for name in chapter["held_out"]["bits_per_byte"]}
        (copy / "ladder.json").write_text(to_json(chapter))
        assert failed(copy) == {"held-out run, figures"}
    elif what == "weight":
        path = copy / "runs" / run / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
        assert failed(copy) == {"runs"}
    elif what == "settings":
        path = copy / "runs" / f"{run}.job.json"
        asked = json.loads(path.read_text())
        asked["settings"]["lr"] *= 2
        path.write_text(to_json(asked))
        assert failed(copy) == {"runs"}
    else:
        prediction = json.loads((copy / "prediction.json").read_text())
        language = next(iter(prediction["languages"]))
        if what == "prediction":  # a better guess, after the fact
            prediction["languages"][language]["value"] = chapter["held_out"]["bits_per_byte"][language]
            (copy / "prediction.json").write_text(to_json(prediction))
            assert {"prediction, hash", "prediction, made again", "prediction before run"} <= failed(copy)
        else:  # made anew from the same points once the run was known, and the chapter altered with it
            prediction["unique_tokens"] += 1
            (copy / "prediction.json").write_text(to_json(prediction))
            chapter["prediction"]["file_hash"] = sha256_file(copy / "prediction.json")
            (copy / "ladder.json").write_text(to_json(chapter))
            assert "prediction before run" in failed(copy)


@pytest.mark.slow
def test_another_recipe_in_the_same_folder_is_refused(made, data):
    other = replace(SMALL, train=replace(SMALL.train, lr=0.5))
    with pytest.raises(UserError, match="train changed since the chapters"), RunLog(quiet=True) as log:
        run_tunnel(other, data, made, "check", log, lambda: None)


@pytest.mark.slow
def test_bowls_serve_what_comes_behind_them_and_not_themselves(made):
    assert tuned(made, "search") == {}
    assert tuned(made, "transfer").keys() >= {"lr", "scale_emb"}
    assert tuned(made, "ladder")["lr"] == json.loads((made / "transfer.json").read_text())["chosen"]["lr"]
    ended = [read_result(made / "runs", path.name.split(".")[0]) for path in (made / "runs").glob("*.ended.json")]
    assert all(result is not None and result.status in ("diverged", "pruned") for result in ended)


def test_words_of_the_command_line():
    assert chapters_of(["a.toml"]) == (None, "a.toml")
    assert chapters_of(["check", "a.toml"]) == ("check", "a.toml")
    assert chapters_of(["page"]) == ("page", "")
    for words in (["chek", "a.toml"], ["a", "b", "c"]):
        with pytest.raises(UserError, match="a chapter of check, search"):
            chapters_of(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.toml"], "no such file"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["check", "nowhere"], "nowhere: no such file or folder"),
        (["page"], "a tunnel folder must hold it"),
        (["search", "{data}", "--budget", "1s"], "the chapter search needs at least"),
        (["{data}", "--budget", "30s"], "budget: 30 seconds; the chapter"),
        (["{data}", "--dry-run", "--budget", "30s"], "budget: 30 seconds; the chapter"),
        pytest.param(
            ["check", "{data}", "--set", "train.device=cuda"],
            "PyTorch sees no GPU here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here"),
        ),
        (["check", "{data}", "--set", "tunnel.units=8"], "did you mean 'unit'"),
        (["check", "{data}", "--set", "tunnel.seeds=1"], "two at least"),
        (["check", "{data}", "--set", "train.lrr=1"], "did you mean 'lr'"),
    ],
)
def test_bad_calls_get_one_line(words, message, data, tmp_path, capsys):
    given = [word.format(data=data) for word in words]
    assert main(["tunnel", *given, "--out", str(tmp_path / "out")]) == 65
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "out" / "index.html").exists()


def test_a_budget_too_small_is_refused_before_anything_trains_with_the_largest_least(data, tmp_path):
    refused = {}
    for chapter in (None, "search", "transfer", "ladder", "batch", "schedules"):
        with RunLog(quiet=True) as log, pytest.raises(TooShortError, match="needs at least") as error:
            run_tunnel(replace(SMALL, minutes=0.001), data, tmp_path, chapter, log, lambda: None)
        refused[chapter] = error.value.minutes
        assert not (tmp_path / "check.json").exists()
        assert not list(tmp_path.glob("runs/*")), "nothing may have trained"
    assert refused.pop(None) == pytest.approx(max(minutes / SHARES[name] for name, minutes in refused.items()))


def test_too_little_text_to_hold_any_back_is_refused(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    text = "다람쥐가 숲에서 도토리를 찾았어요. 그리고 나무 밑에 묻었어요. 겨울이 오면 꺼내 먹을 거예요.\n"
    (tmp_path / "mine" / "story.txt").write_text("".join(f"{n}. {text}" for n in range(400)))
    assert main(["tunnel", "check", str(tmp_path / "mine"), "--out", str(tmp_path / "out")]) == 65
    shown = capsys.readouterr().err
    assert "no held-out text" in shown
    assert not (tmp_path / "out" / "check.json").exists()


def test_a_folder_without_text_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["tunnel", "check", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 65
    assert "no file" in capsys.readouterr().err


def test_other_data_in_the_same_folder_is_refused_and_a_moved_dataset_is_not(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    with RunLog(quiet=True) as log:
        run_tunnel(SMALL, tmp_path / "data", tmp_path / "t", "check", log, lambda: None)
        (tmp_path / "data").rename(tmp_path / "moved")
        run_tunnel(SMALL, tmp_path / "moved", tmp_path / "t", "check", log, lambda: None)
        manifest = tmp_path / "moved" / "manifest.json"
        manifest.write_text(manifest.read_text() + " ")
        with pytest.raises(UserError, match="data changed since the chapters check were made there"):
            run_tunnel(SMALL, tmp_path / "moved", tmp_path / "t", "check", log, lambda: None)


def test_a_recipe_that_would_make_other_data_is_refused_before_it_does(micro_recipe, tmp_path, capsys):
    words = ["tunnel", "check", str(micro_recipe), "--out", str(tmp_path / "t"), "--set", "tunnel.check_widths=[16,32]"]
    assert main(words) == 0
    before = sha256_file(tmp_path / "t" / "data" / "manifest.json")
    page = (tmp_path / "t" / "index.html").read_text()
    assert f"dotori tunnel search {micro_recipe} --set tunnel.check_widths=VALUE --out" in page
    assert main([*words, "--set", "data.near_duplicates=true"]) == 65
    assert "data changed since the chapters check were made there" in capsys.readouterr().err
    assert sha256_file(tmp_path / "t" / "data" / "manifest.json") == before
    assert not (tmp_path / "t" / "data.previous").exists()


def test_a_wrong_setting_is_refused_before_anything_is_made(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("도토리와 다람쥐.\n" * 50)
    assert main(["tunnel", str(tmp_path / "text.txt"), "--set", "tunnel.widht=3", "--out", str(tmp_path / "out")]) == 65
    assert "unknown key 'widht'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
