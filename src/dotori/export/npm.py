"""The packages that the phone app is made with: pinned, checked byte for byte, only named files taken out.

None of them is part of Dotori, and nothing is fetched unless asked for: the files come from `npm pack NAME@VERSION`,
run by the user or, with --npm, by us. Paths inside an archive are only ever compared, never used as paths.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotori.errors import UserError
from dotori.files import disk_errors

_NPM_SECONDS = 600


@dataclass(frozen=True)
class Package:
    """A pinned package: `members` maps names in the archive to (name in the app, bytes)."""

    name: str
    version: str
    file: str
    bytes: int
    sha512: str
    members: Mapping[str, tuple[str, int]]


def _korean_maps() -> dict[str, tuple[str, int]]:
    """The character maps that Korean PDF files name."""
    sizes = {
        "Adobe-Korea1-0": 241,
        "Adobe-Korea1-1": 386,
        "Adobe-Korea1-2": 391,
        "Adobe-Korea1-UCS2": 23293,
        "KSC-EUC-H": 1848,
        "KSC-EUC-V": 164,
        "KSC-H": 1831,
        "KSC-V": 160,
        "KSCms-UHC-H": 2787,
        "KSCms-UHC-HW-H": 2789,
        "KSCms-UHC-HW-V": 169,
        "KSCms-UHC-V": 166,
        "KSCpc-EUC-H": 2024,
        "KSCpc-EUC-V": 166,
        "UniKS-UCS2-H": 25783,
        "UniKS-UCS2-V": 178,
        "UniKS-UTF16-H": 26327,
        "UniKS-UTF16-V": 164,
    }
    return {
        f"package/cmaps/{name}.bcmap": (f"vendor/pdfjs/cmaps/{name}.bcmap", size) for name, size in sizes.items()
    } | {"package/cmaps/LICENSE": ("vendor/pdfjs/cmaps/LICENSE.txt", 2080)}


PACKAGES = {
    "wllama": Package(
        "@wllama/wllama",
        "3.8.1",
        "wllama-wllama-3.8.1.tgz",
        5829483,
        "Pl7BEJhPU8OHnV/yhn3DFZYhLLOdSHh+4TND79WCftHnlUAdQPAsyc/CfIOY+4mVxvf5VW3Xw3Uf7BBfotS1gw==",
        {
            "package/esm/index.min.js": ("vendor/wllama.js", 331458),
            "package/esm/wasm/wllama.wasm": ("vendor/wllama.wasm", 8763949),
            "package/LICENCE": ("vendor/wllama-LICENCE.txt", 1071),
        },
    ),
    "wllama-compat": Package(
        "@wllama/wllama-compat",
        "3.8.1",
        "wllama-wllama-compat-3.8.1.tgz",
        4080712,
        "IvmjrJ+JzDbt3w1FQq1yAmnFEiLGCceowK2Q80zW+k9ChFkPBM1ByX/9xm2xVxyd8MHC50VpuDo6SDE83k9kIQ==",
        {
            "package/wasm/wllama.js": ("vendor/wllama-compat.js", 171615),
            "package/wasm/wllama.wasm": ("vendor/wllama-compat.wasm", 16005007),
        },
    ),
    "minisearch": Package(
        "minisearch",
        "7.2.0",
        "minisearch-7.2.0.tgz",
        185682,
        "dqT2XBYUOZOiC5t2HRnwADjhNS2cecp9u+TJRiJ1Qp/f5qjkeT5APcGPjHw+bz89Ms8Jp+cG4AlE+QZ/QnDglg==",
        {
            "package/dist/es/index.js": ("vendor/minisearch.js", 78014),
            "package/LICENSE.txt": ("vendor/minisearch-LICENSE.txt", 1051),
        },
    ),
    "pdfjs": Package(
        "pdfjs-dist",
        "6.5.438",
        "pdfjs-dist-6.5.438.tgz",
        9144013,
        "vg8Pw1x+AFKy4AMDvhuWl5cOYV8d698UoEANoFFhc79hqXDnZQqnOXoxw3HG907WHOg1JYOvLhP756boddFxpA==",
        {
            "package/build/pdf.min.mjs": ("vendor/pdfjs/pdf.js", 474284),
            "package/build/pdf.worker.min.mjs": ("vendor/pdfjs/pdf.worker.js", 1271915),
            "package/LICENSE": ("vendor/pdfjs/LICENSE.txt", 10174),
        }
        | _korean_maps(),
    ),
}
REQUIRED = ("wllama", "minisearch")


def cache_folder() -> Path:
    """Where packages are kept between exports."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "dotori" / "npm"


def find_packages(given: Mapping[str, Path | None], fetch: bool) -> dict[str, Path]:
    """The archive of each package: the one given, else the cached one, else (with `fetch`) what npm brings.

    Raises UserError for a required one that is nowhere; optional ones may be missing.
    """
    found = {}
    for key, package in PACKAGES.items():
        path = given.get(key) or cache_folder() / package.file
        if fetch and not given.get(key) and not path.is_file():
            _npm_pack(package)
        if path.is_file() or given.get(key):
            found[key] = path
        elif key in REQUIRED:
            raise UserError(
                f"{package.name} {package.version}: not given; the app needs it and nothing is fetched unasked; run "
                f"`npm pack {package.name}@{package.version}` and give --{key} {package.file}, or give --npm"
            )
    return found


def read_members(key: str, path: Path) -> dict[str, bytes]:
    """Name in the app -> bytes of a package's files; raises UserError when the archive is not the pinned one."""
    package = PACKAGES[key]
    data = _checked(package, path)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in archive:
                name, size = package.members.get(member.name, ("", -1))
                file = archive.extractfile(member) if member.isreg() and member.size == size else None
                if file is not None:
                    found[name] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); get it again with npm pack") from None
    missing = sorted({name for name, _ in package.members.values()} - found.keys())
    if missing:
        raise UserError(f"{path}: no {missing[0]} of the pinned size; get {package.file} again with npm pack")
    return found


def _checked(package: Package, path: Path) -> bytes:
    rule = f"{package.name} {package.version} is pinned; get it with `npm pack {package.name}@{package.version}`"
    try:
        size = path.stat().st_size
        if size != package.bytes:
            raise UserError(f"{path}: {size} bytes, {package.bytes} were expected; {rule}")
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; {rule}") from None
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != package.sha512:
        raise UserError(f"{path}: its SHA-512 is {digest[:16]}..., {package.sha512[:16]}... was expected; {rule}")
    return data


def _npm_pack(package: Package) -> None:
    """Lets npm bring one archive into the cache; what it brings is checked later like any other."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("npm: not found; --npm runs it; install Node.js, or give the files with --wllama and so on")
    folder = cache_folder()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--ignore-scripts", "--silent", f"--pack-destination={folder}"]
    try:
        done = subprocess.run(
            [*command, f"{package.name}@{package.version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"npm pack {package.name}: no answer in {_NPM_SECONDS} s; check the network") from None
    if done.returncode or not (folder / package.file).is_file():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"npm pack {package.name}@{package.version}: {last}; check the network or give the file")
