"""Atomic files and folders: what carries its final name is whole and on disk, or it is not there.

Write beside, fsync, rename, fsync the parent. A temporary is named `.NAME.tmp-PID` so that a crash leaves something
recognisable, which the next writer of the same name removes once its process is gone.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dotori.errors import DiskError, UserError

_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}
# What each folder that a verb makes holds: others are not ours to replace.
_MARKS = ("lineage.json", "manifest.json", "report.html", "state.json")
_PLACE_ERRNOS = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError about space or permission while writing `path` into a DiskError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRNOS:
            free = _free_bytes(path)
            raise DiskError(
                f"{path}: {os.strerror(error.errno or 0)} ({free / 1e6:.1f} MB free there); "
                "nothing half-written was left; free some space or choose another --out, then run the same again"
            ) from error
        if error.errno in _PLACE_ERRNOS:
            raise DiskError(
                f"{path}: {os.strerror(error.errno)}; it must be writable; choose another --out or fix its permissions"
            ) from error
        raise


def _free_bytes(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def fsync_folder(path: Path) -> None:
    """Makes the names inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.parent / f".{path.name}.tmp-{os.getpid()}"


def remove_stale(path: Path) -> None:
    """Removes temporaries of `path` whose writing process is gone."""
    for leftover in path.parent.glob(f".{path.name}.tmp-*"):
        pid = leftover.name.rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and Path(f"/proc/{pid}").exists():
            continue
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def atomic_write(path: Path, data: bytes | str) -> None:
    """Writes `data` (str as UTF-8) to `path` whole or not at all; raises DiskError when the disk refuses."""
    temporary = _temporary(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            fsync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder beside `path`; on success it becomes `path`, replacing an older one.

    On any exception the temporary is removed and an older `path` stays as it was. Raises UserError, before anything is
    made, where `path` is not ours to replace.
    """
    check_place(path)
    temporary, old = _temporary(path), path.parent / f".{path.name}.old-{os.getpid()}"
    above = [parent for parent in path.parents if not parent.exists()]
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path)
        _recover_old(path)
        temporary.mkdir()
        try:
            yield temporary
            for file in sorted(temporary.rglob("*")):
                _fsync_path(file)
            fsync_folder(temporary)
            if path.exists():
                os.rename(path, old)
            os.rename(temporary, path)
            fsync_folder(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            if old.exists() and not path.exists():
                os.rename(old, path)
            for parent in above:
                with suppress(OSError):  # someone else may have begun to use it
                    parent.rmdir()
            raise
        shutil.rmtree(old, ignore_errors=True)


def check_place(path: Path, marks: Sequence[str] = _MARKS) -> None:
    """Raises UserError unless a folder may be made at `path`: it is not there, is empty or holds one of `marks`.

    `marks` are patterns of names that tell a folder made by Dotori from everything else that someone may keep.
    """
    with disk_errors(path):
        if not path.exists() and not path.is_symlink():
            return
        inside = sorted(child.name for child in path.iterdir()) if path.is_dir() and not path.is_symlink() else None
    if inside is None:
        raise UserError(f"{path}: a file or link; a folder is made there; choose another --out or remove it")
    if inside and not any(fnmatch.fnmatch(name, mark) for name in inside for mark in marks):
        shown = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
        raise UserError(
            f"{path}: holds {shown}; only an empty folder or an older one of the same kind is replaced; "
            "choose another --out"
        )


def _recover_old(path: Path) -> None:
    """A crash between the two renames leaves `.NAME.old-PID`: bring it back when nothing took its place."""
    for old in path.parent.glob(f".{path.name}.old-*"):
        if path.exists():
            shutil.rmtree(old)
        else:
            os.rename(old, path)


def _fsync_path(path: Path) -> None:
    if path.is_dir():
        fsync_folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """Hex SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


def read_json(path: Path, what: str) -> dict:
    """Reads a JSON object; raises UserError naming `what` when the file is missing, broken or not an object."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{what}: {path} is missing; a {what} must hold it; check the path or make it anew") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what}: {path} is not valid JSON ({error}); restore the file or make it anew") from None
    except IsADirectoryError:
        raise UserError(f"{what}: {path} is a directory; a JSON file is needed; check the path") from None
    if not isinstance(value, dict):
        raise UserError(f"{what}: {path} holds a {type(value).__name__}; a JSON object is needed; restore the file")
    return value


def to_json(value: object) -> str:
    """JSON as we store it: indented, sorted nowhere, Korean readable, newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
