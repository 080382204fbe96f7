"""The layers, sizes and habits of the C++ core, read from its source."""

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
FILES = sorted(path for path in CSRC.rglob("*") if path.suffix in {".h", ".cc"})
KERNELS = sorted(path for path in (CSRC / "kernels").iterdir() if path.is_dir() and path.name != "simd")
ISAS = ["reference", "avx2", "avx512_vnni", "neon_dotprod"]

LONGEST_FILE, LONGEST_LINE = 500, 120
# A folder and what it may include beside itself.
BELOW = {
    "platform": set(),
    "kernels": {"platform"},
    "format": {"platform"},
    "tokenizer": {"platform", "format"},
    "model": {"platform", "kernels", "format"},
    "session": {"platform", "kernels", "format", "model"},
    "bindings": {"platform", "kernels", "format", "tokenizer", "model", "session"},
    "tools": {"platform", "kernels", "format", "tokenizer", "model", "session"},
    "tests": set(),
}
IS_TEST = re.compile(r"_(test|bench|fuzz)\.cc$|^test_\w+\.h$")
INSERTED = {"body.h", "lots.h", "panels_body.h", "formats.h", "exp.h"}  # once in each set's namespace
EMPTY_NAMES = {"utils", "util", "common", "helpers", "misc", "core", "manager", "types"}

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CSRC)))
by_kernel = pytest.mark.parametrize("folder", KERNELS, ids=lambda path: path.name)


def includes(path: Path) -> list[str]:
    """What a file includes: our own by path from csrc/, the system's by name."""
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), flags=re.MULTILINE)


def test_there_is_source():
    assert len(FILES) > 50
    assert len(KERNELS) >= 8


@by_file
def test_layers(path):
    here = path.relative_to(CSRC).parts[0]
    assert here in BELOW, f"csrc/{here} stands in no layer: give it a row here and in ARCHITECTURE.md"
    # Tests read files made for tests, and the reader's fuzzer goes on into the tokenizer.
    allowed = BELOW[here] | {here} | ({"tests", "format", "tokenizer"} if IS_TEST.search(path.name) else set())
    for name in includes(path):
        there = name.split("/")[0] if "/" in name and (CSRC / name).exists() else None
        assert there is None or there in allowed, f"{path.relative_to(CSRC)} includes {name}: csrc/{here} is below it"


@by_file
def test_our_includes_exist(path):
    folders = {entry.name for entry in CSRC.iterdir() if entry.is_dir()}
    for name in includes(path):
        if name.split("/")[0] in folders:
            assert (CSRC / name).is_file(), f"{path.relative_to(CSRC)} includes {name}, which is gone"


@by_file
def test_source_never_includes_what_is_for_tests(path):
    if not IS_TEST.search(path.name):
        marked = [name for name in includes(path) if IS_TEST.search(name.split("/")[-1]) or name.startswith("tests/")]
        assert not marked, f"{path.relative_to(CSRC)} includes {marked}"


@by_file
def test_intrinsics_stay_in_the_words(path):
    wide = {"immintrin.h", "x86intrin.h", "arm_neon.h", "arm_sve.h"} & set(includes(path))
    inside = path.relative_to(CSRC).parts
    is_words = inside[:2] == ("kernels", "simd") or (inside[0] == "kernels" and path.name.startswith("words_"))
    assert not wide or is_words, f"{path.relative_to(CSRC)} includes {wide}: write it in the words of kernels/simd"


@by_file
def test_python_stays_in_the_bindings(path):
    python = [name for name in includes(path) if name.startswith("nanobind/") or name == "Python.h"]
    assert not python or path.relative_to(CSRC).parts[0] == "bindings", f"{path.relative_to(CSRC)}: {python}"


@by_file
def test_files_are_short(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= LONGEST_FILE, f"{path.relative_to(CSRC)}: split it by what its parts do"
    long = [number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE]
    assert not long, f"{path.relative_to(CSRC)}: lines {long} have more than {LONGEST_LINE} columns"


@by_file
def test_headers_are_included_once_and_say_what_they_are(path):
    if path.suffix != ".h":
        return
    text = path.read_text()
    is_list = path.name == "isa_table.h"
    assert is_list or text.startswith("//"), f"{path.relative_to(CSRC)}: begin with what it is and its contract"
    assert path.name in INSERTED or "#pragma once" in text, f"{path.relative_to(CSRC)}: no #pragma once"


@by_file
def test_habits(path):
    text = path.read_text()
    assert path.stem not in EMPTY_NAMES, f"{path.relative_to(CSRC)}: name it after what it holds"
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text), f"{path.relative_to(CSRC)}: finish it or drop it"
    if IS_TEST.search(path.name):
        return
    ends = re.search(r"\b(?:std::)?(abort|_?exit|quick_exit|terminate)\s*\(", text)
    assert not ends, f"{path.relative_to(CSRC)}: {ends and ends[0]} ends somebody's program; throw dotori::Error"
    assert not re.search(r"\bvirtual\b", text), f"{path.relative_to(CSRC)}: structs and free functions"
    if path.relative_to(CSRC).parts[0] == "kernels" and path.name != "dispatch.cc":
        forbidden = re.search(r"\b(throw|new|malloc|calloc|printf|std::vector|fopen)\b", text)
        assert not forbidden, f"{path.relative_to(CSRC)}: {forbidden and forbidden[0]}; a kernel computes, no more"


@by_kernel
def test_a_kernel_has_a_contract_every_instruction_set_and_a_test(folder):
    needed = [f"{folder.name}.h", "isa_table.h", "body.h", f"{folder.name}_test.cc", *(f"{isa}.cc" for isa in ISAS)]
    missing = [name for name in needed if not (folder / name).is_file()]
    assert not missing, f"kernels/{folder.name} lacks {missing}"
    table = (folder / "isa_table.h").read_text()
    assert all(f"namespace {isa} " in table for isa in ISAS)
    assert f'#include "kernels/{folder.name}/isa_table.h"' in (CSRC / "kernels" / "dispatch.cc").read_text()


@by_kernel
def test_an_instruction_set_includes_its_own_words_and_the_body(folder):
    assert not [name for name in includes(folder / "reference.cc") if "simd/" in name or name.endswith("body.h")]
    for isa in ISAS[1:]:
        text, names = (folder / f"{isa}.cc").read_text(), includes(folder / f"{isa}.cc")
        assert f"kernels/simd/{isa}.h" in names
        assert f"kernels/{folder.name}/body.h" in names
        others = [other for other in ISAS[1:] if other != isa and other in text]
        assert not others, f"kernels/{folder.name}/{isa}.cc speaks of {others}"
        assert f"namespace dotori::{isa} {{" in text


def test_every_folder_with_code_has_a_test():
    for folder in ("format", "platform", "session", "tokenizer"):
        assert list((CSRC / folder).glob("*_test.cc")), f"csrc/{folder} has no *_test.cc"


def test_nothing_builds_for_the_machine_at_hand():
    lists = (CSRC.parent / "CMakeLists.txt").read_text()
    assert "march=native" not in lists
    assert "mtune=native" not in lists
    assert "-ffast-math" not in lists
