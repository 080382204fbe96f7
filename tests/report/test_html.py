"""The page shows what the run folder says, loads nothing, escapes everything, and refuses folders that are no runs."""

import json
import re

import pytest
from parsed_page import Page

from dotori.errors import UserError
from dotori.report.facts import read_run
from dotori.report.html import ReportSettings, duration, render, size, write_report


def test_the_page_shows_every_part(run_folder):
    page = Page(render(read_run(run_folder)))
    for part in (
        "91.1 %", "Korean to English", "사과를 샀습니다.", "export-q4_0", "Training loss", "Learning rate",
        "bits per byte", "byte unigram", "majority", "model-Q4_0.gguf", "logits equal", "2.3e-6",
        "3 min 51 s", "duplicate 12",
        "2.13M parameters", "every setting", "decay",
    ):  # fmt: skip
        assert part in page.text, part
    assert page.tags.count("svg") >= 10


def test_the_page_loads_nothing(run_folder):
    text = render(read_run(run_folder))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href", "srcset") or name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)


def test_hostile_text_stays_text(run_folder):
    hostile = '</pre><script>alert("1")</script><img src=x onerror=alert(1)>'
    path = run_folder / "eval" / "evaluation.json"
    value = json.loads(path.read_text())
    value["transcript"] = {"model": hostile, "turns": [{"role": hostile, "content": hostile}]}
    value["models"][0]["name"] = hostile
    path.write_text(json.dumps(value))
    (run_folder / "recipe.toml").write_text(f"name = {json.dumps(hostile)}\n")
    lines = (run_folder / "train" / "metrics.jsonl").read_text().splitlines()
    lines.append(json.dumps({"kind": "sample", "step": hostile, "prompt": hostile, "text": hostile}))
    (run_folder / "train" / "metrics.jsonl").write_text("\n".join(lines))
    page = Page(render(read_run(run_folder), hostile))
    assert not {"script", "img"} & set(page.tags)
    assert hostile in page.text


def test_a_run_that_has_only_begun(run_folder):
    path = run_folder / "stages.json"
    records = json.loads(path.read_text())
    for name in records:
        records[name]["output"] = records[name]["output"] if name == "tokenizer" else None
    path.write_text(json.dumps(records))
    page = Page(render(read_run(run_folder)))
    assert "round trip" in page.text
    assert "Learning" not in page.text


def test_tokens_of_a_branch_follow_on_those_of_its_parent(run_folder):
    curves = {curve.stage: curve for curve in read_run(run_folder).curves}
    assert curves["train"].start == 0
    assert curves["decay"].start == 180 * 8192
    assert curves["sft"].start == 220 * 8192
    assert curves["decay"].bits_per_byte["ko"][0][0] == 200 * 8192


def test_write_report_replaces_the_old_page(run_folder, tmp_path):
    for title in ("first", "둘째"):
        write_report(ReportSettings(title=title), run_folder, tmp_path / "report")
    assert "둘째" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"stages\.json"):
        read_run(tmp_path)


def test_durations_and_sizes_for_people():
    assert [duration(s) for s in (4.12, 42, 372, 7500)] == ["4.1 s", "42 s", "6 min 12 s", "2 h 05 min"]
    assert [size(b) for b in (12, 1500, 1_310_000, 2e9)] == ["12 B", "1.5 kB", "1.31 MB", "2 GB"]
