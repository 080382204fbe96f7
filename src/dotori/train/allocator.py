"""Keeps freed memory in the process, so that a step on the CPU does not fetch the same pages from the kernel again.

A training step frees and allocates the same gigabyte of activations each time. glibc gives every block over 128 KiB
(later 32 MiB) back at once, so each step pays a page fault and a zeroed page for every 4 KiB of it, about a sixth of
the step.
"""

from __future__ import annotations

import ctypes
import sys

# The parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER_TRIM = 2**31 - 1
_GROWTH_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to reuse large freed blocks instead of returning them to the kernel, for this process.

    The resident size then stays at its peak. Returns False, and changes nothing, where malloc is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(libc, "mallopt"):
        return False
    given = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER_TRIM), (_M_TOP_PAD, _GROWTH_BYTES))
    return all([libc.mallopt(parameter, value) == 1 for parameter, value in given])
