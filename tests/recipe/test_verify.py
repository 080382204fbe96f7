"""`dotori verify`: holds for what a run made; an altered weight, figure or hash is found, each of them."""

import json
import shutil
from pathlib import Path

import pytest

from dotori.checkpoint.lineage import folder_hash, read_lineage
from dotori.cli.main import main
from dotori.errors import UserError
from dotori.files import sha256_file
from dotori.recipe.verify import verify


@pytest.fixture
def copy(micro_run, tmp_path) -> Path:
    return Path(shutil.copytree(micro_run, tmp_path / "run"))


def failures(folder: Path) -> list[str]:
    return [f"{check.folder}: {check.name}: {check.detail}" for check in verify(folder) if check.status == "failed"]


def flip(path: Path, place: int = -1) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def test_everything_that_a_run_made_holds(micro_run):
    checks = verify(micro_run)
    assert not failures(micro_run)
    again = {check.name for check in checks if check.status == "ok" and check.name.startswith("proof")}
    assert again >= {
        "proof: round_trip",
        "proof: packed = alone",
        "proof: loss mask",
        "proof: gguf logits",
        "proof: gguf tokenizer",
    }


@pytest.mark.parametrize(
    "file",
    [
        "tokenizer/tokenizer.json",
        "data/story/train-00000.tokens",
        "data/chat/train-00000.mask",
        "data/manifest.json",
        "train/model.safetensors",
        "train/stable/weights.safetensors",
        "sft/config.json",
        "export-q4_0/model-Q4_0.gguf",
        "eval/evaluation.json",
    ],
)
def test_an_altered_file_is_found_by_the_run_and_by_its_own_folder(copy, file):
    path = copy / file
    if path.suffix == ".json":
        path.write_text(path.read_text().replace("0", "1", 1))
    else:
        flip(path)
    assert any(file.split("/")[0] in line for line in failures(copy))
    if not file.startswith("train/stable"):
        assert failures(copy / file.split("/")[0])


@pytest.mark.parametrize("stage", ["train", "sft", "export-q4_0"])
def test_an_altered_figure_of_a_proof_is_found(copy, stage):
    path = copy / stage / "lineage.json"
    document = json.loads(path.read_text())
    changed = 0
    for proof in document["proofs"]:
        if proof["name"].partition(",")[0] in ("packed = alone", "loss mask", "gguf logits"):
            changed += 1
            proof["threshold"] = 0.9 if isinstance(proof["threshold"], float) else proof["threshold"]
            proof["value"] = 0.123
    assert changed
    path.write_text(json.dumps(document))
    assert any("proof" in line or "lineage" in line for line in failures(copy / stage))


def test_weights_altered_together_with_their_hash_are_found_by_the_proof_of_the_file_made_from_them(copy):
    """Whoever corrects every hash of a model folder still has to explain the exported file."""
    flip(copy / "sft" / "model.safetensors", -3)
    path = copy / "sft" / "lineage.json"
    document = json.loads(path.read_text())
    document["files"]["model.safetensors"] = sha256_file(copy / "sft" / "model.safetensors")
    path.write_text(json.dumps(document))
    assert folder_hash(copy / "sft") != read_lineage(copy / "export-q4_0").parents["model"]
    assert any(line.startswith("sft: contents") for line in failures(copy))


def test_a_folder_that_no_stage_made_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"lineage\.json"):
        verify(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        verify(tmp_path / "nothing")


def test_the_verb_says_what_failed_and_ends_in_65(copy, capsys):
    assert main(["verify", str(copy / "export-q4_0")]) == 0
    flip(copy / "export-q4_0" / "model-Q4_0.gguf")
    assert main(["verify", str(copy / "export-q4_0")]) == 65
    said = capsys.readouterr()
    assert "model-Q4_0.gguf" in said.out + said.err
