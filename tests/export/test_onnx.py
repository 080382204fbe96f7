"""The export for onnxruntime-genai: made by its builder, the same model on its runtime.

Tests marked `mobile` run builder and runtime: pytest -m mobile, with the extra `mobile` installed.
"""

import shutil
from importlib.util import find_spec

import pytest

from dotori.checkpoint.lineage import Lineage, folder_hash, read_lineage, write_lineage
from dotori.cli.main import main
from dotori.errors import UserError
from dotori.export import onnx
from dotori.export.onnx import OnnxSettings, export_onnx
from dotori.files import atomic_folder, read_json
from dotori.recipe.verify import verify
from dotori.runlog import RunLog

QUIET = RunLog(None, quiet=True)


def test_a_wrong_type_is_a_wrong_flag():
    assert main(["export", "onnx", "x", "--out", "y", "--type", "8da4w"]) == 2


def test_a_builder_that_fails_is_one_message_and_leaves_nothing(folder_of, tmp_path, monkeypatch):
    if find_spec("onnxruntime_genai") is not None:
        pytest.skip("the extra `mobile` is installed, its builder does not fail")
    monkeypatch.setattr(onnx, "PACKAGES", {})
    with pytest.raises(UserError, match="onnxruntime-genai's builder must take it"):
        export_onnx(OnnxSettings(), folder_of("granite"), tmp_path / "out", QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_lost_file_is_named(folder_of, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "PACKAGES", {})
    model = folder_of("granite")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "genai_config.json").write_text("{}")
        write_lineage(folder, Lineage(stage="export", settings={"type": "fp32"}, parents={"model": folder_hash(model)}))
    with pytest.raises(UserError, match=r"model\.onnx: missing"):
        onnx.prove_again(tmp_path / "out", read_lineage(tmp_path / "out"), model)


@pytest.mark.mobile
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestFolder:
    @pytest.mark.parametrize(
        ("kind", "family", "tied"),
        [
            ("fp32", "granite", True),
            ("int4", "granite", False),
            ("fp32", "minicpm", True),
            ("fp32", "qwen2", False),
            ("fp32", "qwen3", True),
            ("int4", "llama", True),
        ],
    )
    def test_it_is_whole_proved_and_proved_again(self, kind, family, tied, folder_of, tmp_path):
        pytest.importorskip("onnxruntime_genai", reason="needs the extra `mobile`")
        model = folder_of(family, tied)
        export_onnx(OnnxSettings(type=kind), model, tmp_path / "out", QUIET)
        lineage = read_lineage(tmp_path / "out")
        assert {"onnx tokenizer", "onnx cache"} <= {proof.name for proof in lineage.proofs}
        assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes()
        assert read_json(tmp_path / "out" / "genai_config.json", "export")["model"]["eos_token_id"] == [0, 2]
        assert {check.status for check in verify(tmp_path / "out")} == {"ok"}

    def test_another_models_weights_fail(self, folder_of, tmp_path):
        pytest.importorskip("onnxruntime_genai", reason="needs the extra `mobile`")
        model = folder_of("granite")
        export_onnx(OnnxSettings(type="fp32"), model, tmp_path / "out", QUIET)
        shutil.copytree(tmp_path / "out", tmp_path / "altered")
        data = bytearray((tmp_path / "altered" / "model.onnx.data").read_bytes())
        data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
        (tmp_path / "altered" / "model.onnx.data").write_bytes(data)
        failed = {check.name for check in verify(tmp_path / "altered") if check.status == "failed"}
        assert failed >= {"files", "proof: onnx logits"}
