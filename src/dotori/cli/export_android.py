"""`dotori export android`.

MODEL is a GGUF file or an export folder. The APK holds the web app and the model, is signed with a debug key, and is
UNTESTED ON HARDWARE. It is made with Debian's aapt, zipalign, apksigner, smali, default-jre-headless and
android-framework-res; the npm packages are those of `dotori export web`.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.cli.export_web import add_app, app_options
from dotori.cli.options import add_json, add_out, print_json


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", type=Path, help="GGUF file or export folder")
    add_out(parser)
    add_app(parser)
    parser.add_argument("--package", default="org.dotori.app", help="the app's identity (default org.dotori.app)")
    parser.add_argument(
        "--key", default="", metavar="FILE", help="PKCS12 key with password 'android' (default: one kept)"
    )
    add_json(parser)


def run(options: Namespace) -> int:
    """Writes the folder with the APK."""
    from dotori.export.android import UNTESTED, AndroidSettings, export_android
    from dotori.runlog import RunLog

    app, packages = app_options(options)
    s = AndroidSettings(app=app, package=options.package, key=options.key)
    with RunLog() as log:
        metrics = export_android(s, options.model, packages, options.out, log)
    if options.json:
        print_json({"file": str(options.out / "dotori.apk"), "metrics": metrics})
    else:
        print(f"install it: adb install {options.out / 'dotori.apk'}   ({UNTESTED})", file=sys.stderr)
    return 0
