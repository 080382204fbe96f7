"""The ExecuTorch export: its decoder is the model, its refusals come first, and the file on the runtime is the decoder.

Tests marked `mobile` lower real files: pytest -m mobile, with the extra `mobile` installed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
import torch

from dotori.checkpoint.folder import write_model
from dotori.checkpoint.lineage import Lineage, Proof, at_most, equal, folder_hash, read_lineage, write_lineage
from dotori.cli.main import main
from dotori.errors import UserError
from dotori.export import executorch
from dotori.export.executorch import ExecutorchSettings, export_executorch
from dotori.export.llama_form import llama_form
from dotori.export.mobile import MissingExtra, check_request, need, settle, step
from dotori.export.static_cache import ByteTable, StaticDecoder
from dotori.files import atomic_folder, read_json, to_json
from dotori.recipe.verify import verify
from dotori.runlog import RunLog
from dotori.tokenizer.load import load_tokenizer

from .conftest import random_model

QUIET = RunLog(None, quiet=True)
FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "granite", "minicpm"]


def test_multipliers_fold_exactly():
    for family, tied in (("granite", True), ("granite", False), ("minicpm", True)):
        model = random_model(family, tied)
        twin, ids = llama_form(model), torch.arange(40)[None]
        assert twin.config.model_type == "llama"
        expected = model(ids)
        assert (twin(ids) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_model_without_multipliers_is_its_own_twin():
    model = random_model("qwen3", tied=True)
    assert llama_form(model) is model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_static_cache_is_the_model_however_a_text_is_cut(family, tied):
    model = random_model(family, tied)
    built, ids = StaticDecoder(llama_form(model), 48).requires_grad_(False), (torch.arange(40) * 7 % 290)[None]
    expected = model(ids)[0]
    for pieces in ([40], [1] * 40, [3, 20, 1, 1, 15]):
        at = 0
        for piece in pieces:
            row = built(ids[:, at : at + piece], torch.tensor([at]))[0]
            at += piece
            assert (row - expected[at - 1]).abs().max() < 2e-5 * expected.abs().max()


def test_a_new_text_does_not_see_the_old_one():
    built = StaticDecoder(llama_form(random_model("granite", tied=True)), 16).requires_grad_(False)
    first = built(torch.tensor([[1, 2, 3]]), torch.tensor([0]))
    built(torch.arange(16)[None], torch.tensor([0]))
    assert torch.equal(built(torch.tensor([[1, 2, 3]]), torch.tensor([0])), first)


def test_a_row_of_the_byte_table_is_off_by_half_a_step_at_most():
    table = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    table[3] = 0
    step_of = table.abs().amax(dim=1, keepdim=True) / 127
    assert ((ByteTable(table)(torch.arange(20)) - table).abs() <= step_of / 2 + 1e-6).all()


@pytest.mark.parametrize("part", ["executorch", "onnx"])
def test_what_is_no_model_folder_is_refused(part, folder_of, tmp_path, capsys):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "empty").mkdir()
    for name in ("model.gguf", "empty"):
        assert main(["export", part, str(tmp_path / name), "--out", str(tmp_path / "out")]) == 65
        assert "a model folder with config.json" in capsys.readouterr().err
    assert main(["export", part, str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 65
    assert "not a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["executorch", "onnx"])
def test_an_existing_out_is_never_replaced(part, folder_of, tmp_path, capsys):
    model = folder_of("granite")
    (tmp_path / "out").mkdir()
    assert main(["export", part, str(model), "--out", str(tmp_path / "out")]) == 65
    assert "replaces nothing" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["executorch", "onnx"])
def test_an_unknown_family_is_refused_before_the_weights_are_read(part, folder_of, tmp_path, capsys):
    model = folder_of("granite")
    config = read_json(model / "config.json", "model folder") | {"model_type": "mamba"}
    (model / "config.json").write_text(to_json(config))
    (model / "model.safetensors").unlink()
    assert main(["export", part, str(model), "--out", str(tmp_path / "out")]) == 65
    assert "'mamba'" in capsys.readouterr().err


def test_a_missing_extra_is_one_message_with_the_command(folder_of, tmp_path):
    with pytest.raises(MissingExtra, match=r"^no-such: not installed; .*pip install 'dotori\[mobile\]'"):
        check_request(folder_of("granite"), tmp_path / "out", {"no_such_module": "no-such", "json": "json"})
    need({"json": "json"})


@pytest.mark.skipif(find_spec("executorch") is not None, reason="the extra `mobile` is installed")
@pytest.mark.parametrize("part", ["executorch", "onnx"])
def test_without_the_extra_nothing_begins(part, folder_of, tmp_path, capsys):
    assert main(["export", part, str(folder_of("granite")), "--out", str(tmp_path / "out")]) == 65
    assert "pip install" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (ExecutorchSettings(type="fp32", context=1), "context: 1; 2 to 96"),
        (ExecutorchSettings(type="fp32", context=97), "context: 97; 2 to 96"),
        (ExecutorchSettings(type="fp32", context=-5), "context: -5; 2 to 96"),
    ],
)
def test_a_context_that_cannot_be_is_refused(wanted, message, folder_of, tmp_path, monkeypatch):
    monkeypatch.setattr(executorch, "PACKAGES", {})
    with pytest.raises(UserError, match=message):
        export_executorch(wanted, folder_of("granite"), tmp_path / "out", QUIET)
    assert not (tmp_path / "out").exists()


def test_a_flag_that_is_no_number_or_type_is_a_wrong_flag(tmp_path):
    for words in (["--context", "many"], ["--type", "Q4_0"]):
        assert main(["export", "executorch", "x", "--out", "y", *words]) == 2


def test_verify_says_what_it_could_not_make_again(folder_of, tmp_path, monkeypatch):
    monkeypatch.setattr(executorch, "PACKAGES", {"no_such_module": "no-such"})
    model = folder_of("granite")
    proof = at_most("executorch logits", 1e-5, 1e-3, "a difference")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "model-fp32.pte").write_bytes(b"pte")
        parents = {"model": folder_hash(model)}
        settled = {"type": "fp32", "context": 96}
        write_lineage(folder, Lineage(stage="export", settings=settled, parents=parents, proofs=(proof,)))
    checks = {check.name: check for check in verify(tmp_path / "out")}
    assert checks["files"].status == "ok"
    assert checks["proof: executorch logits"].status == "recorded"
    assert "not made again: no-such: not installed" in checks["proof: executorch logits"].detail
    (tmp_path / "out" / "model-fp32.pte").write_bytes(b"pta")
    assert {check.name for check in verify(tmp_path / "out") if check.status == "failed"} == {"files"}


def test_a_computed_limit_may_differ_in_its_last_digits_only():
    recorded = Proof("x", 0.1, 0.5, True, "")
    assert settle(at_most("x", 0.1, 0.48, ""), recorded).threshold == 0.5
    assert not settle(at_most("x", 0.6, 0.7, ""), recorded).passed
    assert settle(at_most("x", 0.1, 0.1, ""), recorded).threshold == 0.1
    assert settle(equal("x", "a", "a", ""), Proof("x", "a", "a", True, "")).passed


def test_a_long_step_speaks(capsys):
    with RunLog() as log, step(log, "lowering", every=0.05):
        time.sleep(0.2)
    said = capsys.readouterr().err
    assert "lowering ..." in said
    assert "s so far" in said


needs_extra = [pytest.mark.mobile, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def lowered(tmp_path_factory, tokenizer_folder):
    """(kind, family, tied) -> a folder that holds `model` and its export `out`; each is made once."""
    pytest.importorskip("executorch", reason="needs the extra `mobile`")
    made: dict = {}

    def get(kind: str, family: str = "granite", tied: bool = True):
        if (kind, family, tied) not in made:
            place = tmp_path_factory.mktemp(f"{kind}-{family}")
            tokenizer = load_tokenizer(tokenizer_folder)
            model = random_model(family, tied, tokenizer.vocab_size)
            write_model(place / "model", model, tokenizer, Lineage(stage="train", settings={}, seed=4, tokens_seen=99))
            export_executorch(ExecutorchSettings(type=kind), place / "model", place / "out", QUIET)
            made[kind, family, tied] = place
        return made[kind, family, tied]

    return get


class TestFile:
    pytestmark = needs_extra

    @pytest.mark.parametrize(
        ("kind", "family", "tied"),
        [
            ("8da4w", "llama", False),
            ("fp32", "granite", True),
            ("8da4w", "granite", True),
            ("fp32", "qwen2", False),
            ("fp32", "qwen3", True),
        ],
    )
    def test_it_is_whole_proved_and_proved_again(self, kind, family, tied, lowered):
        place = lowered(kind, family, tied)
        names = {path.name for path in (place / "out").iterdir()}
        assert names >= {f"model-{kind}.pte", "tokenizer.json", "README.md", "lineage.json"}
        lineage = read_lineage(place / "out")
        assert len(lineage.proofs) == 4
        assert lineage.tokens_seen == 99
        assert kind != "fp32" or lineage.metrics["top1_agreement"] == 1.0
        checks = verify(place / "out")
        assert {check.status for check in checks} == {"ok"}, checks
        assert "int64 | (1, T), T from 1 to 96" in (place / "out" / "README.md").read_text()

    def test_a_tied_table_is_stored_once(self, lowered):
        place = lowered("fp32")
        weights = read_lineage(place / "out").metrics["parameters"] * 4
        assert (place / "out" / "model-fp32.pte").stat().st_size < weights + 80_000

    def test_another_models_file_fails(self, lowered, tmp_path):
        place = lowered("fp32")
        shutil.copytree(place / "out", tmp_path / "out")
        shutil.copy(lowered("fp32", "qwen3") / "out" / "model-fp32.pte", tmp_path / "out")
        shutil.copytree(place / "model", tmp_path / "model")
        failed = {check.name for check in verify(tmp_path / "out") if check.status == "failed"}
        assert failed >= {"files", "proof: executorch logits", "proof: executorch greedy"}

    def test_a_file_that_is_none_fails_without_a_traceback(self, lowered, tmp_path):
        shutil.copytree(lowered("fp32"), tmp_path / "place")
        (tmp_path / "place" / "out" / "model-fp32.pte").write_bytes(b"not a program at all" * 9)
        checks = verify(tmp_path / "place" / "out")
        assert any("export it anew" in check.detail for check in checks if check.status == "failed")

    def test_executorchs_own_text_runner_says_the_same(self, lowered):
        place = lowered("fp32")
        code = f"""
import json
from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner
runner = TextLLMRunner({str(place / "out" / "model-fp32.pte")!r}, {str(place / "out" / "tokenizer.json")!r})
said = []
asked = GenerationConfig(echo=False, max_new_tokens=12, temperature=0.0)
runner.generate("<|endoftext|>도토리와 acorn", asked, said.append)
print("\\n@" + json.dumps(said))
"""
        # The cache must begin as zeros: what malloc gives out is filled with something else.
        dirty = os.environ | {"MALLOC_PERTURB_": "128"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=dirty)
        said = json.loads(done.stdout.decode(errors="replace").rpartition("\n@")[2])
        tokenizer = load_tokenizer(place / "model")
        ids = [0, *tokenizer.encode("도토리와 acorn")]
        program = executorch.Program(place / "out" / "model-fp32.pte", 96)
        program.begin()
        logits, ours = program.feed(ids), []
        while len(ours) < len(said):
            ours.append(int(logits.argmax()))
            logits = program.feed(ours[-1:])
        control = {index: token for token, index in tokenizer.special.items()}
        text = b"".join(control[i].encode() if i in control else tokenizer.token_bytes(i) for i in ours)
        assert text.decode(errors="ignore")[:4] == "".join(said)[:4]

    def test_ctrl_c_leaves_nothing(self, folder_of, tmp_path):
        pytest.importorskip("executorch", reason="needs the extra `mobile`")
        model = folder_of("granite")
        words = ["export", "executorch", str(model), "--type", "fp32", "--out", str(tmp_path / "out")]
        command = [sys.executable, "-c", f"import sys; from dotori.cli.main import main; sys.exit(main({words!r}))"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "lowering" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        process.stderr.close()
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
