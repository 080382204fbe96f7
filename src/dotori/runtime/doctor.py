"""What this machine can do, measured: the limits that a model's speed is compared with."""

from __future__ import annotations

import mmap
import os
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import dotori.runtime._core as _core
from dotori.device import DeviceProfile, detect
from dotori.errors import UserError
from dotori.files import disk_errors
from dotori.runlog import RunLog

# Many times the caches of today's laptops and phones, and small beside their memory.
_BANDWIDTH_BYTES = 1 << 30
_STORAGE_BYTES, _READ_BYTES = 512 << 20, 1 << 20


def bandwidth(threads: int) -> float:
    """Bytes a second that `threads` threads read from memory; about a second of work and 1 GiB."""
    return _core.measure_bandwidth(threads, _BANDWIDTH_BYTES)


def examine(threads: int | None, storage: Path | None, log: RunLog) -> DeviceProfile:
    """The profile of this machine: memory, integer products and, with a folder `storage`, reads of 1 MiB from there.

    Takes seconds and 1 GiB of memory; `storage` needs 512 MiB for a file that is removed again. Raises UserError.
    """
    if storage is not None and not storage.is_dir():
        raise UserError(f"storage: {storage}; a folder to write in is needed; name one on the device to measure")
    found = detect()
    threads = threads or found.threads
    log.say(f"memory: {threads} threads read 1 GiB ...")
    memory = bandwidth(threads)
    log.say(f"integer products: {_core.runnable_isas()[-1]} ...")
    products = _core.measure_dot_products(threads)
    disk = None
    if storage is not None:
        log.say(f"storage: reads of 1 MiB in {storage} ...")
        disk = storage_bandwidth(storage)
    return replace(
        found,
        threads=threads,
        int8_ops_per_second=products,
        memory_bytes_per_second=memory,
        storage_bytes_per_second=disk,
    )


def storage_bandwidth(folder: Path, seconds: float = 2.0) -> float | None:
    """Bytes a second of single reads of 1 MiB at random places; None where the system's cache cannot be passed.

    Raises UserError when the folder cannot take the file.
    """
    with disk_errors(folder), tempfile.NamedTemporaryFile(dir=folder, prefix=".dotori-doctor-") as file:
        piece = os.urandom(_READ_BYTES)
        for _ in range(_STORAGE_BYTES // _READ_BYTES):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        return _random_reads(Path(file.name), seconds)


def _random_reads(path: Path, seconds: float) -> float | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECT", 0))
    except OSError:  # a file system in memory
        return None
    dice, window, done = random.Random(1), mmap.mmap(-1, _READ_BYTES), 0
    try:
        begun = time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds:
            place = dice.randrange(_STORAGE_BYTES // _READ_BYTES) * _READ_BYTES
            done += os.preadv(descriptor, [window], place)
        return done / spent
    finally:
        os.close(descriptor)
        window.close()
