"""One run per folder: a kernel lock that ends with its process, so that a killed run leaves nothing to clean up."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotori.errors import UserError
from dotori.files import disk_errors


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder`/lock while the block runs; raises UserError naming the process that holds it already.

    The lock file's text (process id and start) is for people; what decides is the kernel's lock on it, which a killed
    process cannot leave behind.
    """
    path = folder / "lock"
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _take(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "started": round(time.time())}).encode())
        yield
    finally:
        os.close(descriptor)


def _take(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"{path.parent}: in use by {_holder(path)}; one run trains in one folder; "
                "wait for it, stop it, or choose another --out"
            ) from None
        # The holder before us may have finished and removed the folder between our open and our lock.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)
        path.parent.mkdir(parents=True, exist_ok=True)


def _holder(path: Path) -> str:
    try:
        written = json.loads(path.read_text())
        return f"process {written['pid']} since {time.strftime('%H:%M:%S', time.localtime(written['started']))}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
