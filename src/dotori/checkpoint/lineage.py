"""lineage.json: how a folder came to be, what proves it, and the hash of every file beside it."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dotori import __version__
from dotori.errors import ProofError, UserError
from dotori.files import read_json, sha256_file, sha256_json, to_json

FILE = "lineage.json"
_IDENTITIES = (FILE, "manifest.json", "tokenizer.json", "evaluation.json")


@dataclass(frozen=True)
class Proof:
    """A named check with its figure. `how` says what was compared; `threshold` what the figure had to reach."""

    name: str
    value: float | int | str | None
    threshold: float | int | str | None
    passed: bool
    how: str


def at_most(name: str, value: float, threshold: float, how: str) -> Proof:
    """A proof that holds when value <= threshold (and is a number)."""
    return Proof(name, value, threshold, bool(value <= threshold), how)


def equal(name: str, value: int | str, expected: int | str, how: str) -> Proof:
    """A proof that holds when value == expected."""
    return Proof(name, value, expected, value == expected, how)


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """The story of one folder. `parents` and `data` map names to folder hashes; `files` is filled on writing."""

    stage: str
    settings: dict[str, Any]
    seed: int | None = None
    parents: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    tokens_seen: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    proofs: tuple[Proof, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Versions that may change a number: ours, Python's, and of the libraries that compute."""
    found = {"dotori": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "tokenizers", "safetensors"):
        found[name] = importlib.metadata.version(name)
    return found


def require(proofs: tuple[Proof, ...]) -> None:
    """Raises ProofError naming the first proof that failed."""
    for proof in proofs:
        if not proof.passed:
            raise ProofError(
                f"proof {proof.name!r}: {proof.value}; {proof.how}: {proof.threshold} was needed; nothing was written"
            )


def write_lineage(folder: Path, lineage: Lineage) -> None:
    """Hashes every file of `folder` and writes lineage.json beside them; raises ProofError when a proof failed.

    The folder is meant to be one that atomic_folder() yielded.
    """
    require(lineage.proofs)
    hashes = {name: sha256_file(folder / name) for name in _file_names(folder)}
    document = asdict(lineage) | {"versions": lineage.versions or versions(), "files": hashes}
    (folder / FILE).write_text(to_json(document | {"sha256": sha256_json(document)}), encoding="utf-8")


def _file_names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != FILE)


def read_lineage(folder: Path) -> Lineage:
    """Reads lineage.json; raises UserError when it is missing, broken or was altered."""
    document = read_json(folder / FILE, "lineage")
    stored = document.pop("sha256", None)
    if stored != sha256_json(document):
        raise UserError(f"{folder / FILE}: altered since it was written (its own hash differs); restore it")
    try:
        proofs = tuple(Proof(**proof) for proof in document.pop("proofs", ()))
        return Lineage(**document, proofs=proofs)
    except TypeError as error:
        raise UserError(f"{folder / FILE}: {error}; it was written by another version; make the folder anew") from None


def folder_hash(folder: Path) -> str:
    """What identifies a folder: the hash of the file that holds the hashes of all others."""
    for name in _IDENTITIES:
        if (folder / name).is_file():
            return sha256_file(folder / name)
    raise UserError(f"{folder}: none of {', '.join(_IDENTITIES)}; a folder made by a stage is needed; check the path")


def check_files(folder: Path, hashes: dict[str, str]) -> list[str]:
    """What is wrong with the files of a folder: altered, missing or unknown ones, one line each."""
    problems = []
    present = set(_file_names(folder))
    for name, expected in hashes.items():
        if name not in present:
            problems.append(f"{name}: missing")
        elif sha256_file(folder / name) != expected:
            problems.append(f"{name}: altered (its hash differs)")
    return problems + [f"{name}: not there when the folder was made" for name in sorted(present - hashes.keys())]
