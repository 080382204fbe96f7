"""A signed debug APK around the web app, with Debian's tools: no Android SDK, no Gradle. Untested on hardware.

NAME.apk  README.md  lineage.json

Three classes written in smali show the app's files in a WebView under https://appassets.androidplatform.net/; the app
asks for no permission, so it has no network. There is no service worker and no download: the model is inside.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from dotori import __version__
from dotori.checkpoint.lineage import Proof, equal, write_lineage
from dotori.config import settings
from dotori.errors import ProofError, UserError
from dotori.export.web import WebSettings, app_lineage, app_proofs, model_file, sizes, write_app
from dotori.export.web_card import proof_table, title
from dotori.files import atomic_folder, check_place, disk_errors
from dotori.runlog import RunLog

UNTESTED = "untested on hardware: nobody has run this app on a phone yet"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".txt": "text/plain",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wasm": "application/wasm",
}
_CLASSES = ("MainActivity", "AppChrome", "AppClient")
_FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
_PACKAGES = {
    "aapt": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "smali": "smali",
    "keytool": "default-jre-headless",
}
_PASSWORD = "android"  # the convention for debug keys; such a key proves nothing about who signed
_SECONDS = 300


@settings
class AndroidSettings:
    """`app`: the web app inside; `package`: the app's identity on a phone, one app of each; `key`: a PKCS12 file."""

    app: WebSettings
    package: str = "org.dotori.app"
    key: str = ""


def missing_tools() -> list[str]:
    """The apt packages of the tools that are not here."""
    missing = [package for tool, package in _PACKAGES.items() if shutil.which(tool) is None]
    return missing if _FRAMEWORK.is_file() else [*missing, "android-framework-res"]


def export_android(
    s: AndroidSettings, model: Path, packages: Mapping[str, Path], out: Path, log: RunLog
) -> dict[str, Any]:
    """Writes the folder `out` with the APK of the GGUF file or export folder `model`; returns the metrics.

    Raises UserError for missing tools and models that cannot be exported, ProofError when the APK is not what it
    is meant to be.
    """
    check_place(out, ("dotori.apk",))
    if missing := missing_tools():
        raise UserError(
            f"tools: {', '.join(missing)} not found; an APK is made with them; apt-get install {' '.join(missing)}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", s.package):
        raise UserError(f"package: {s.package!r}; small letters, digits and at least one dot; write org.example.app")
    if s.key and not Path(s.key).is_file():
        raise UserError(f"{s.key}: no such file; a PKCS12 key is needed; check --key, or leave it out for a debug key")
    source = model_file(model)
    with atomic_folder(out) as folder, TemporaryDirectory(dir=folder.parent, prefix=".apk-") as scratch:
        work = Path(scratch)
        config = write_app(s.app, source, packages, work / "assets" / "app", bundled=True)
        metrics: dict[str, Any] = sizes(work / "assets" / "app", config)
        apk = folder / "dotori.apk"
        _build(s, config, work, apk)
        metrics["apk_bytes"] = apk.stat().st_size
        proofs = (*app_proofs(source, work / "assets" / "app", config, metrics), *apk_proofs(apk, work / "assets", s))
        lineage = app_lineage(source, "export android", s.app, packages, metrics, proofs)
        (folder / "README.md").write_text(_card(config, metrics, proof_table(lineage)), encoding="utf-8")
        write_lineage(folder, lineage)
    log.say(f"{out / 'dotori.apk'}: {metrics['apk_bytes'] / 1e6:.2f} MB, {UNTESTED}")
    return metrics


def smali_sources() -> dict[str, str]:
    """Name -> text of the app's classes; the table of content types is added to AppClient."""
    folder = files("dotori.export") / "android_app"
    texts = {name: (folder / f"{name}.smali").read_text(encoding="utf-8") for name in _CLASSES}
    lines = [".method private static typeOf(Ljava/lang/String;)Ljava/lang/String;", "    .registers 2"]
    for number, (suffix, kind) in enumerate(TYPES.items()):
        lines += [
            f'    const-string v0, "{suffix}"',
            "    invoke-virtual {p0, v0}, Ljava/lang/String;->endsWith(Ljava/lang/String;)Z",
            "    move-result v0",
            f"    if-eqz v0, :not_{number}",
            f'    const-string v0, "{kind}"',
            "    return-object v0",
            f"    :not_{number}",
        ]
    lines += ['    const-string v0, "application/octet-stream"', "    return-object v0", ".end method", ""]
    texts["AppClient"] += "\n" + "\n".join(lines)
    return texts


def manifest(s: AndroidSettings, config: Mapping[str, Any]) -> str:
    """AndroidManifest.xml."""
    text = (files("dotori.export") / "android_app" / "AndroidManifest.xml").read_text(encoding="utf-8")
    # aapt reads a leading @ or ? as a reference and a backslash as an escape.
    label = str(config["name"]).lstrip("@?").replace("\\", "") or "Dotori"
    version = f"{__version__}-{config['model']['sha256'][:8]}-untested"
    filled = {"package": s.package, "code": "1", "version": version}
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", escape(value))
    return text.replace('"{label}"', quoteattr(label))


def _build(s: AndroidSettings, config: Mapping[str, Any], work: Path, apk: Path) -> None:
    """Classes, resources, archive, alignment, signature."""
    for name, text in smali_sources().items():
        _put(work / "smali" / f"{name}.smali", text)
    _put(work / "AndroidManifest.xml", manifest(s, config))
    icon = work / "res" / "mipmap-xxxhdpi" / "icon.png"
    icon.parent.mkdir(parents=True)
    shutil.copyfile(work / "assets" / "app" / "icon-192.png", icon)
    _run(work, "smali", "assemble", "--api", "26", "-o", "classes.dex", "smali")
    stored = [flag for suffix in ("arsc", "bin", "png") for flag in ("-0", suffix)]
    parts = ["-M", "AndroidManifest.xml", "-S", "res", "-A", "assets", "-I", str(_FRAMEWORK)]
    _run(work, "aapt", "package", "-f", *stored, *parts, "-F", "plain.apk")
    _run(work, "aapt", "add", "plain.apk", "classes.dex")
    _run(work, "zipalign", "-f", "-p", "4", "plain.apk", "aligned.apk")
    key = Path(s.key).absolute() if s.key else _debug_key()  # tools run elsewhere
    signing = ["--ks", str(key), "--ks-pass", f"pass:{_PASSWORD}", "--v4-signing-enabled", "false"]
    _run(work, "apksigner", "sign", *signing, "--out", "signed.apk", "aligned.apk")
    shutil.move(work / "signed.apk", apk)


def apk_proofs(apk: Path, assets: Path, s: AndroidSettings) -> tuple[Proof, ...]:
    """Signature, alignment, identity and contents, asked of tools that did not write the file where there are any."""
    _run(apk.parent, "apksigner", "verify", "--min-sdk-version", "26", apk.name)
    _run(apk.parent, "zipalign", "-c", "-p", "4", apk.name)
    badging = _run(apk.parent, "aapt", "dump", "badging", apk.name)
    found = re.search(r"^package: name='([^']*)'", badging, re.MULTILINE)
    permissions = len(re.findall(r"^uses-permission", badging, re.MULTILINE))
    inside, outside = hashlib.sha256(), hashlib.sha256()
    with zipfile.ZipFile(apk) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("assets/"))
        for name in names:
            inside.update(name.encode() + hashlib.sha256(archive.read(name)).digest())
    for path in sorted((path for path in assets.rglob("*") if path.is_file()), key=lambda path: path.as_posix()):
        name = "assets/" + path.relative_to(assets).as_posix()
        outside.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return (
        equal("apk files", inside.hexdigest(), outside.hexdigest(), "hash of every file inside against the app's"),
        equal("apk package", found[1] if found else "", s.package, "what aapt reads from the APK"),
        equal("apk permissions", permissions, 0, "permissions that aapt finds; without any there is no network"),
    )


def _debug_key() -> Path:
    """The key that all debug APKs of this user are signed with, so that a newer one may replace an older one."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    path = Path(base) / "dotori" / "android-debug.p12"
    if path.is_file():
        return path
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as scratch:
            new = Path(scratch) / "key.p12"
            options = ["-genkeypair", "-alias", "androiddebugkey", "-keyalg", "RSA", "-keysize", "2048"]
            store = ["-validity", "10000", "-storetype", "PKCS12", "-storepass", _PASSWORD, "-keystore", str(new)]
            _run(Path(scratch), "keytool", *options, *store, "-dname", "CN=Dotori debug")
            new.chmod(0o600)
            os.replace(new, path)
    return path


def _run(folder: Path, tool: str, *arguments: str) -> str:
    """Runs a tool in `folder` and returns what it printed; raises ProofError with its last words when it fails."""
    command: Sequence[str] = (tool, *arguments)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, errors="replace")
    except subprocess.TimeoutExpired:
        raise ProofError(f"{tool}: no end after {_SECONDS} s; try again with less else running") from None
    if done.returncode:
        # A stack of Java calls says nothing to people.
        lines = [line for line in (done.stderr or done.stdout).splitlines() if not line.lstrip().startswith("at ")]
        words = " ".join(" ".join(lines).split())[-400:]
        raise ProofError(f"{tool} {arguments[0]}: exit code {done.returncode}: {words}; nothing was written")
    return done.stdout


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _card(config: Mapping[str, Any], metrics: Mapping[str, Any], proofs: str) -> str:
    return (
        f"# {title(config)} for Android\n\n**{UNTESTED.capitalize()}.** It was built, signed and inspected, and its "
        "page was run in Chromium without a service worker; no phone and no emulator was at hand.\n\n"
        f"| | size |\n|---|---|\n| `dotori.apk` | {metrics['apk_bytes'] / 1e6:.2f} MB |\n"
        f"| model inside | {metrics['model_bytes'] / 1e6:.2f} MB |\n\n"
        "## Install\n\n    adb install dotori.apk\n\nor copy it to the phone, open it there and allow installing from "
        "that source. It is signed with a debug key made on the computer that built it: good for trying, not for a "
        "store. It asks for no permission, not even for the network. It needs Android 8 with a current Android System "
        "WebView.\n\n"
        f"{proofs}\n## Known gaps\n\nExporting conversations as a file does nothing in this app (copy the text "
        "instead). Parts of others stand under `assets/app/vendor/` with their licences.\n"
    )
