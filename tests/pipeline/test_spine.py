"""What a person does with a finished run: talk, examine, look, export again; and stock transformers reads it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dotori.checkpoint.lineage import read_lineage
from dotori.cli.main import main
from dotori.runtime.open import open_model

TEXT = "아침에 미나는 공원에 갔어요. Mina went to the park."


def said(capsys, *words) -> str:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_every_stage_left_its_folder_with_what_it_promises(micro_run):
    for stage in ("train", "decay", "sft"):
        names = {path.name for path in (micro_run / stage).iterdir()}
        assert names >= {
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "generation_config.json",
            "README.md",
            "lineage.json",
            "metrics.jsonl",
        }
    assert {path.name for path in (micro_run / "export-q4_0").iterdir()} == {
        "model-Q4_0.gguf",
        "README.md",
        "lineage.json",
    }
    assert not list(micro_run.glob("*.partial"))
    assert json.loads((micro_run / "sft" / "config.json").read_text())["architectures"] == ["GraniteForCausalLM"]


def test_lineage_joins_text_to_file(micro_run):
    lineages = {name: read_lineage(micro_run / name) for name in ("train", "decay", "sft", "export-q4_0")}
    assert all(proof.passed for lineage in lineages.values() for proof in lineage.proofs)
    resume = [p for p in lineages["sft"].proofs if p.name.startswith("resume")]
    assert [p.value for p in resume] == [0.0, 0.0]
    stable = json.loads((micro_run / "train/stable/state.json").read_text())["progress"]["tokens"]
    assert lineages["decay"].tokens_seen == stable + 6 * 512
    assert lineages["sft"].tokens_seen == stable + 12 * 512


def test_stock_transformers_reads_the_folder_and_agrees(micro_run):
    tokenizer = AutoTokenizer.from_pretrained(micro_run / "sft")
    ours = open_model(micro_run / "sft")
    ids = ours.tokenize(TEXT)
    assert tokenizer.encode(TEXT, add_special_tokens=False) == ids
    chat = [{"role": "user", "content": TEXT}]
    theirs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert list(theirs) == list(ours.chat(chat))
    model = AutoModelForCausalLM.from_pretrained(micro_run / "sft", dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(logits - ours.logits(ids)).max() <= 1e-4


def test_chat_answers_once_and_the_seed_decides(micro_run, capsys):
    words = ("chat", micro_run / "export-q4_0", "--prompt", "미나는 어디에 갔어요?", "--max-tokens", 12, "--seed", 3)
    first, second = said(capsys, *words), said(capsys, *words)
    assert first == second
    assert said(capsys, "chat", micro_run / "export-q4_0" / "model-Q4_0.gguf", *words[2:]) == first


@pytest.mark.parametrize("stage", ["sft", "export-q4_0"])
def test_bits_per_byte_of_folder_and_file(micro_run, tmp_path, capsys, stage):
    (tmp_path / "text.jsonl").write_text(json.dumps({"text": TEXT}) + "\n" + json.dumps({"text": "Mina ran."}) + "\n")
    result = json.loads(said(capsys, "eval", "bpb", micro_run / stage, tmp_path / "text.jsonl", "--json"))
    [row] = result["files"]
    assert row["documents"] == 2
    assert row["bytes"] == len(TEXT.encode()) + 9
    assert 0 < row["bits_per_byte"] < 16
    assert set(result["languages"]) <= {"ko", "en"}


def test_the_examination_has_the_keys_of_the_interface(micro_run, capsys):
    result = json.loads(said(capsys, "eval", "storyworld", micro_run / "export-q4_0", "--count", "3", "--json"))
    keys = {"qa_exact_match", "chrf_ko_en", "chrf_en_ko", "feeling_accuracy", "particle_accuracy", "baselines"}
    assert keys <= set(result)


@pytest.mark.parametrize("folder", ["", "tokenizer", "data", "train", "sft", "export-q4_0", "eval"])
def test_inspect_explains_every_folder(micro_run, capsys, folder):
    assert said(capsys, "inspect", micro_run / folder)
    assert json.loads(said(capsys, "inspect", micro_run / folder, "--json"))


def test_a_stage_alone_and_an_export_alone(micro_run, micro_recipe, tmp_path, capsys):
    said(capsys, "export", "gguf", micro_run / "sft", "--type", "Q8_0", "--out", tmp_path / "q8")
    assert (tmp_path / "q8" / "model-Q8_0.gguf").stat().st_size > (
        micro_run / "export-q4_0/model-Q4_0.gguf"
    ).stat().st_size
    words = ("--data", micro_run / "data", "--init", micro_run / "decay")
    said(capsys, "adapt", "sft", micro_recipe, "--out", tmp_path / "sft", *words)
    again, before = (folder / "model.safetensors" for folder in (tmp_path / "sft", micro_run / "sft"))
    assert again.read_bytes() == before.read_bytes()


def test_the_report_tells_the_run_without_network_or_script(micro_run):
    page = (micro_run / "report" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    for word in ("micro", "Q4_0", "resume", "미나는", "bits per byte"):
        assert word in page


@pytest.mark.parametrize(
    ("damage", "said_of_it"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: _truncate(folder / "model.safetensors"), "model.safetensors"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"x") and _gone(folder), "pickle"),
    ],
)
def test_a_broken_model_folder_is_one_message(micro_run, tmp_path, capsys, damage, said_of_it):
    folder = Path(shutil.copytree(micro_run / "sft", tmp_path / "model"))
    damage(folder)
    assert main(["chat", str(folder), "--prompt", "안녕"]) == 65
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said_of_it in captured.err
    assert "Traceback" not in captured.err


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _gone(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("keep", [0, 3, 24, 200, 5000])
def test_a_truncated_file_is_one_message(micro_run, tmp_path, capsys, keep):
    path = tmp_path / "model-Q4_0.gguf"
    path.write_bytes((micro_run / "export-q4_0" / "model-Q4_0.gguf").read_bytes()[:keep])
    assert main(["eval", "storyworld", str(path)]) == 65
    assert "model-Q4_0.gguf" in capsys.readouterr().err
