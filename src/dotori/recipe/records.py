"""What a run folder remembers: which stage was made from what, so that unchanged ones are skipped and cut ones resumed.

DIR/stages.json      one record per stage (see Record), written after each change
DIR/.hashes.json     SHA-256 of files by size and time of change, so that large inputs are read once
DIR/.lock            held while a run works here
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from dotori import __version__
from dotori.errors import UserError
from dotori.files import atomic_write, read_json, sha256_file, sha256_json, to_json
from dotori.recipe.schema import Table, settings_json
from dotori.recipe.stages import STAGES


@dataclass(frozen=True)
class Record:
    """A stage as stages.json keeps it.

    fingerprint: hash of everything that decides its output; output: hash of its folder, None while it is unfinished;
    seconds: wall time over all slices; peak_memory_bytes: largest resident memory of the process while it ran, None
    where the system does not tell; parents: names of the tables that fed it.
    """

    kind: str
    fingerprint: str
    output: str | None
    seconds: float
    peak_memory_bytes: int | None
    parents: list[str]


class Records:
    """The records of one run folder, in the order of the recipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "stages.json"
        stored = read_json(self.path, "run folder") if self.path.exists() else {}
        try:
            self.stages = {name: Record(**record) for name, record in stored.items()}
        except TypeError as error:
            raise UserError(f"{self.path}: {error}; it was not written by this version; run with --restart") from None
        self._hashes = _Hashes(folder / ".hashes.json")

    def write(self, name: str, record: Record, order: Iterable[str]) -> None:
        """Stores one record; records of tables that the recipe no longer has are dropped."""
        self.stages[name] = record
        self.stages = {key: self.stages[key] for key in order if key in self.stages}
        atomic_write(self.path, to_json({key: asdict(value) for key, value in self.stages.items()}))

    def fingerprint(self, table: Table, inputs: dict[str, list[Path]], files: Iterable[Path]) -> str:
        """Hash of all that decides what a stage makes: kind, settings, input folders, outside files, our version."""
        free = STAGES[table.kind].free
        parts = {
            "version": __version__,
            "kind": table.kind,
            "settings": {name: v for name, v in settings_json(table.settings).items() if name not in free},
            "inputs": {name: [self.content(path) for path in paths] for name, paths in inputs.items()},
            "files": [self._hashes.of(path) for path in files],
        }
        self._hashes.save()
        return sha256_json(parts)

    def content(self, path: Path) -> str:
        """`content` of a file or folder, with the hashes of unchanged files remembered."""
        found = content(path, self._hashes.of)
        self._hashes.save()
        return found


def content(path: Path, hash_of: Callable[[Path], str]) -> str:
    """Hash of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return hash_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_json({str(file.relative_to(path)): hash_of(file) for file in files})


class _Hashes:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict = read_json(path, "run folder") if path.exists() else {}
        self.changed = False

    def of(self, path: Path) -> str:
        stat = path.stat()
        key, state = str(path.absolute()), [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        if self.known.get(key, [None])[:-1] != state:
            self.known[key] = [*state, sha256_file(path)]
            self.changed = True
        return self.known[key][-1]

    def save(self) -> None:
        if self.changed:
            atomic_write(self.path, to_json(self.known))
            self.changed = False
