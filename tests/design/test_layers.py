"""A package imports only the layers below it, siblings never import each other, and nothing hides in a function."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "dotori"

# Bottom first. Names in one row are siblings; in L0 each module may import those listed before it.
FOUNDATION = ["errors", "files", "config", "device", "runlog", "scorer"]
LAYERS = [
    ["formats"],
    ["model", "tokenizer"],
    ["checkpoint", "data"],
    ["train", "runtime"],
    ["adapt", "compress", "evaluate", "export", "report"],
    ["tunnel", "serve", "frontier"],
    ["recipe"],
    ["cli"],
]
RANK = {name: 1 + layer for layer, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in SOURCE.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) for each import of dotori in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "dotori")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by full name, not relatively"
            if node.module == "dotori":
                yield from ((node.lineno, f"dotori.{alias.name}") for alias in node.names)
            elif node.module and node.module.startswith("dotori."):
                yield node.lineno, node.module


def part(path: Path) -> str:
    """The package (or foundation module) that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path):
    here = part(path)
    if here == "__init__":
        assert not list(imports(ast.parse(path.read_text())))
        return
    assert here in RANK or here in FOUNDATION, f"{here} stands in no layer: give it a row in ARCHITECTURE.md and here"
    for line, module in imports(ast.parse(path.read_text())):
        there = module.split(".")[1]
        where = f"{path.relative_to(SOURCE)}:{line} imports {module}"
        if there == "__version__":
            continue
        assert there in RANK or there in FOUNDATION, f"{where}, which is in no layer"
        if here in FOUNDATION:
            assert there in FOUNDATION[: FOUNDATION.index(here)], f"{where}: L0 modules import only those before them"
        elif there in RANK:
            assert here == there or RANK[there] < RANK[here], f"{where}: only lower layers, never siblings"


def test_the_rule_catches_an_upward_import():
    tree = ast.parse("from dotori.train.loop import train\nimport dotori.model.config")
    assert [module for _, module in imports(tree)] == ["dotori.train.loop", "dotori.model.config"]
    assert RANK["train"] > RANK["model"] == RANK["tokenizer"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_import_inside_a_function_outside_cli(path):
    if part(path) == "cli":
        return
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [module for _, module in imports(function)]
            assert not hidden, f"{path.relative_to(SOURCE)} {function.name}() imports {hidden}: move it to the top"


def test_packages_have_no_import_cycle():
    graph = {
        ".".join(("dotori", *path.relative_to(SOURCE).with_suffix("").parts)): path
        for path in FILES
        if path.name != "__init__.py"
    }
    edges = {
        name: {module for _, module in imports(ast.parse(path.read_text())) if module in graph}
        for name, path in graph.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "import cycle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for child in sorted(edges[name]):
                visit(child, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", ["dotori", "dotori.cli.main", "dotori.config", "dotori.runlog"])
def test_importing_it_brings_no_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
