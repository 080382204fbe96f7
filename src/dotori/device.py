"""Device profiles: what a machine can do, as a TOML file under devices/ or as detected here."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from dotori.config import build, read_toml, settings


@settings
class DeviceProfile:
    """A machine's limits. Speeds are None until somebody measured them; figures are per second, sizes in bytes."""

    name: str
    isa: list[str]
    cores: int
    threads: int
    memory_bytes: int
    flops_per_second: float | None = None
    int8_ops_per_second: float | None = None
    memory_bytes_per_second: float | None = None
    storage_bytes_per_second: float | None = None


def load_profile(path: Path) -> DeviceProfile:
    """Reads a profile; raises UserError for a missing file, an unknown key or a wrong type."""
    return build(DeviceProfile, read_toml(path), str(path))


def profile_toml(profile: DeviceProfile) -> str:
    """The profile as the TOML that `load_profile` reads; figures rounded to three digits."""
    lines = []
    for name, value in vars(profile).items():
        if isinstance(value, float):
            value = float(f"{value:.3g}")
        if value is not None and not name.startswith("__"):
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def detect() -> DeviceProfile:
    """This machine: the cores and memory we may use (cgroup limits included) and the instruction sets that matter."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return DeviceProfile(
        name=platform.node() or "local", isa=_cpu_flags(), cores=cores, threads=cores, memory_bytes=_memory_bytes()
    )


def _cpu_flags() -> list[str]:
    wanted = {"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "avx_vnni", "asimddp", "i8mm", "bf16"}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return sorted(wanted & set(line.partition(":")[2].split()))
    return []


def _memory_bytes() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total
