"""The C++ core on its own: its tests as built for this machine, with sanitizers, and for 64-bit ARM by emulation."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dotori.checkpoint.gguf import write_gguf
from dotori.model.config import ModelConfig
from dotori.model.transformer import Transformer
from dotori.tokenizer.load import load_tokenizer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TESTS = sorted(path.stem for path in (ROOT / "csrc").rglob("*_test.cc"))
ARM_TESTS = ["matmul_test", "attention_test", "sparse_ffn_test"]
JOBS = str(min(os.cpu_count() or 1, 4))
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
HAS_ARM = bool(QEMU and shutil.which("aarch64-linux-gnu-g++"))

needs_cmake = pytest.mark.skipif(not shutil.which("cmake"), reason="needs cmake 3.21 or newer")
needs_arm = pytest.mark.skipif(not HAS_ARM, reason="needs aarch64-linux-gnu-g++ and qemu-aarch64 (qemu-user)")
on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="compares with x86-64")


def run(*command: str | Path, isa: str = "", seconds: float = 600, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Runs a program that must succeed; `isa` is what DOTORI_ISA names."""
    environment = {**os.environ, "DOTORI_ISA": isa, "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, errors="replace", timeout=seconds
    )
    shown = f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, shown
    return done


def build(preset: str, folder: Path, targets: list[str]) -> Path:
    """A build folder of the preset with these programs, and no more."""
    run("cmake", "--preset", preset, "-S", ROOT, "-B", folder)
    run("cmake", "--build", folder, "--parallel", JOBS, "--target", *targets)
    return folder


def run_tests(folder: Path) -> None:
    found = run("ctest", "--output-on-failure", "--timeout", "300", cwd=folder).stdout
    assert f"100% tests passed, 0 tests failed out of {len(TESTS)}" in found


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Iterator[Path]:
    folder = build("release", tmp_path_factory.mktemp("release"), ["tests", "dotori_run"])
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def arm(tmp_path_factory) -> Iterator[Path]:
    folder = build("aarch64", tmp_path_factory.mktemp("aarch64"), [*ARM_TESTS, "dotori_run"])
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def trained(micro_run: Path) -> Path:
    return micro_run / "export-q4_0" / "model-Q4_0.gguf"


@pytest.fixture(scope="module")
def untrained(micro_run: Path, tmp_path_factory) -> Path:
    """Random weights with a head of their own: what follows looks random too, and every rounding error may show."""
    tokenizer = load_tokenizer(micro_run / "sft")
    config = ModelConfig(
        model_type="llama",
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=2,
    )
    weights, generator = Transformer(config), torch.Generator().manual_seed(3)
    for parameter in weights.parameters():
        torch.nn.init.normal_(parameter.data, 1.0 if parameter.ndim == 1 else 0.0, 0.1, generator=generator)
    path = tmp_path_factory.mktemp("untrained") / "model-Q4_0.gguf"
    write_gguf(path, config, weights.state_dict(), tokenizer, "Q4_0", {})
    return path


def greedy_tokens(*program: str | Path, model: Path, isa: str = "") -> tuple[list[int], str]:
    """48 ids that dotori_run makes, and the kernel table that it says made them."""
    done = run(*program, model, "--ids", "0,40,41,42", "--tokens", "48", "--threads", "2", "--print-ids", isa=isa)
    return [int(line) for line in done.stdout.split()], done.stderr.split()[-1]


@needs_cmake
def test_release(release: Path):
    run_tests(release)


@needs_cmake
def test_dotori_run_needs_no_python(release: Path, trained: Path):
    done = run(release / "dotori_run", trained, "--prompt", "미나는", "--tokens", "8")
    assert done.stdout
    wrong = subprocess.run([release / "dotori_run", trained, "--tokens", "0"], capture_output=True, text=True)
    assert wrong.returncode == 65
    assert wrong.stderr.startswith("dotori_run: --tokens: 0; ")


@needs_cmake
def test_sanitizers(tmp_path: Path):
    folder = build("sanitize", tmp_path / "build", ["tests", "gguf_fuzz"])
    run_tests(folder)
    assert "200000 cases" in run(folder / "gguf_fuzz", "200000").stdout
    shutil.rmtree(folder)


@needs_cmake
@needs_arm
@pytest.mark.parametrize("name", ARM_TESTS)
def test_arm_kernels(arm: Path, name: str):
    run(QEMU, "-cpu", "cortex-a76", arm / name)


@needs_cmake
@needs_arm
@on_x86
@pytest.mark.parametrize("name", ["trained", "untrained"])
def test_arm_gives_the_tokens_of_x86(request, release: Path, arm: Path, name: str):
    model = request.getfixturevalue(name)
    expected, _ = greedy_tokens(release / "dotori_run", model=model)
    assert len(expected) == 48
    assert len(set(expected)) >= (12 if name == "untrained" else 1)
    modern, plain = ([QEMU, "-cpu", kind, arm / "dotori_run"] for kind in ("max", "cortex-a53"))
    assert greedy_tokens(*modern, model=model) == (expected, "neon_dotprod")
    assert greedy_tokens(*modern, model=model, isa="reference") == (expected, "reference")
    # Without the dot product instructions: the reference, not an illegal instruction.
    assert greedy_tokens(*plain, model=model) == (expected, "reference")
