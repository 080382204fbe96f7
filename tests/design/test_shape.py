"""The sizes, names and habits that ARCHITECTURE.md promises, read from the source."""

import ast
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "dotori"
FILES = sorted(SOURCE.rglob("*.py"))
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef

LONGEST_FILE, LONG_FILE, LONGEST_FUNCTION = 500, 350, 60
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core", "manager", "handler"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
FORBIDDEN_METHODS = {("torch", "load"), ("torch", "save"), ("yaml", "load")}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Beyond our own: what torch, io and jinja let be extended by subclassing alone.
BASES = {"Module", "Protocol", "NamedTuple", "TypedDict", "Enum", "StrEnum", "IntEnum"}
BASES |= {"Function", "Optimizer", "RawIOBase", "ImmutableSandboxedEnvironment"}

# Worker processes have arguments and answer on their standard output.
PROCESSES = {Path("tokenizer/workers.py"), Path("evaluate/peer_engines.py"), Path("serve/pdf_worker.py")}

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))


@by_file
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE, f"{path.name}: split it by what its parts do"


def test_list_of_long_files():
    long = [(len(path.read_text().splitlines()), str(path.relative_to(ROOT))) for path in FILES]
    long = sorted((row for row in long if row[0] > LONG_FILE), reverse=True)
    if long:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("files over 350 lines: " + ", ".join(f"{name} {n}" for n, name in long), stacklevel=1)


@by_file
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, FUNCTIONS):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{path.name}:{node.lineno} {node.name}() has {length} lines"


@by_file
def test_public_things_have_docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path.name}: say in one line what the module holds"
    for node in public(tree):
        assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name} has no docstring"


def public(tree):
    """Public functions and classes of a module, and public methods of public classes (dunders aside)."""
    for node in tree.body:
        if isinstance(node, FUNCTIONS | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (m for m in node.body if isinstance(m, FUNCTIONS) and not m.name.startswith("_"))


@by_file
def test_package_files_hold_a_docstring_only(path):
    if path.name == "__init__.py" and path.parent != SOURCE:
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, f"{path.relative_to(SOURCE)}: import from the module that owns the name"


@by_file
def test_names_say_something(path):
    empty = EMPTY_NAMES & {path.stem, path.parent.name}
    assert not empty, f"{path.relative_to(SOURCE)}: {empty} says nothing; name it after what it holds"


@by_file
def test_no_print_no_environment_no_exit_outside_cli(path):
    if path.relative_to(SOURCE).parts[0] == "cli" or path.relative_to(SOURCE) in PROCESSES:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            assert called not in {"print", "input", "sys.exit", "exit", "quit"}, (
                f"{path.name}:{node.lineno} {called}() belongs to cli/"
            )
        assert not (isinstance(node, ast.Attribute) and dotted(node) in {"sys.argv", "sys.stdout"}), (
            f"{path.name}:{node.lineno} {dotted(node)} belongs to cli/"
        )


@by_file
def test_nothing_runs_code_from_data(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else {node.module}
            )
            assert not names & FORBIDDEN_MODULES, f"{path.name}:{node.lineno} imports {names & FORBIDDEN_MODULES}"
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            assert called not in FORBIDDEN_CALLS, f"{path.name}:{node.lineno} {called}()"
            assert tuple(called.rsplit(".", 1)) not in FORBIDDEN_METHODS, f"{path.name}:{node.lineno} {called}()"


def dotted(node) -> str:
    """`a.b.c` of a name or attribute chain, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


@by_file
def test_no_inheritance_beyond_modules_protocols_and_errors(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = dotted(base).split(".")[-1] or dotted(getattr(base, "value", base))
                allowed = name in BASES or name.endswith(("Error", "Exception")) or name == "Formatter"
                assert allowed, f"{path.name}:{node.lineno} class {node.name}({name}): compose instead"


@by_file
def test_no_marks_of_unfinished_work(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line), f"{path.name}:{number}: finish it or drop it"
        assert "NotImplementedError" not in line, f"{path.name}:{number}: no stub"


@by_file
def test_star_and_open_keyword_arguments_are_not_ours(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_") and node.args.kwarg:
            allowed = (path.name, node.name) == ("runlog.py", "event")
            assert allowed, f"{path.name}:{node.lineno} {node.name}(**{node.args.kwarg.arg}): name the arguments"
        assert not (isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)), path.name


def test_every_module_has_its_test():
    missing = []
    for path in FILES:
        inside = path.relative_to(SOURCE)
        if path.name == "__init__.py" or inside.parts[0] == "cli":
            continue
        folder = ROOT / "tests" / inside.parent
        names = {file.name for file in folder.glob("test_*.py")} if folder.is_dir() else set()
        if not names:
            missing.append(str(inside))
    assert not missing, f"no tests/<package>/test_*.py beside: {missing}"


def test_the_makefile_has_five_targets():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, flags=re.MULTILINE))
    assert targets == {"demo", "test", "check", "bench", "docs"}


def test_command_verbs_are_frozen():
    from dotori.cli.main import VERBS

    assert sorted(VERBS) == sorted(
        [
            "adapt",
            "bench",
            "chat",
            "data",
            "demo",
            "doctor",
            "eval",
            "export",
            "inspect",
            "run",
            "serve",
            "tokenizer",
            "train",
            "tunnel",
            "verify",
        ]
    ), "a verb is a promise: change this list only together with README.md, CHANGELOG.md and docs/"
