"""README.md of an app's folder: what it is, how large, how to host it, what was and was not tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dotori.checkpoint.lineage import Lineage

HOSTING = """\
Any static host will do; phones need https (http://localhost counts too). To try it on this computer:

    python3 -m http.server --directory FOLDER 8000     then open http://localhost:8000

Two response headers let the engine use several threads; without them it uses one:

    Cross-Origin-Opener-Policy: same-origin
    Cross-Origin-Embedder-Policy: require-corp

`_headers` holds them for hosts that read such a file. Serve `.wasm` as application/wasm and `.js` as text/javascript.
"""


def size_rows(metrics: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What is downloaded, in words, and its bytes."""
    rows = [("app shell, always", metrics["shell_bytes"])]
    if metrics["compat_bytes"]:
        rows.append(("compatibility engine, only where the browser needs it", metrics["compat_bytes"]))
    return [*rows, (f"model, in {metrics['model_parts']} part(s)", metrics["model_bytes"])]


def web_card(config: Mapping[str, Any], metrics: Mapping[str, Any], lineage: Lineage) -> str:
    """Markdown."""
    rows = "\n".join(f"| {words} | {size / 1e6:.2f} MB |" for words, size in size_rows(metrics))
    return (
        f"# {title(config)}: an app that works offline\n\n"
        f"`{config['model']['file']}` in a web app that needs no network once it is installed. Made with Dotori.\n\n"
        f"| | size |\n|---|---|\n{rows}\n\n## Host it\n\n{HOSTING}\n"
        "## Tested\n\nIn Chromium with a phone's screen size and touch (not a phone's processor). Not tested on a "
        "phone, nor in Safari or Firefox. Without the compatibility engine, browsers without JSPI and memory64 cannot "
        f"run the model{'' if metrics['compat_bytes'] else '; this folder was made without it'}.\n\n"
        f"{proof_table(lineage)}\n"
        "## Limits\n\nA small model: it makes mistakes, knows little, and repeats what its training text says, biases "
        "included. Do not rely on it for facts or decisions about people.\n\n"
        "Parts of others stand in `vendor/` with their licences; versions and hashes in `lineage.json`.\n"
    )


def title(config: Mapping[str, Any]) -> str:
    """The app's name as it can stand in a heading."""
    return " ".join(str(config["name"]).split()).replace("<", "&lt;")


def proof_table(lineage: Lineage) -> str:
    """The proofs as a section."""
    rows = "\n".join(
        f"| {proof.name} | {str(proof.value)[:16]} | {str(proof.threshold)[:16]} | {proof.how} |"
        for proof in lineage.proofs
    )
    return f"## Proofs\n\n| proof | figure | limit | how |\n|---|---|---|---|\n{rows}\n"
