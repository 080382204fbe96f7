"""`dotori serve`.

Answers the API that OpenAI's clients speak, and shows a chat page, on this machine only. A model's name is that of its
export folder or file; NAME=PATH gives another. Ctrl-C or SIGTERM lets running answers end, then stops.
A key is read from --api-key-file or the variable DOTORI_API_KEY, never from an argument, which others could see.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dotori.errors import UserError

EXIT_NO_KEY = 77
_KEY_VARIABLE = "DOTORI_API_KEY"


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="export folder or .gguf file, or NAME=PATH")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="port (default 8080)")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help="file with the key that requests must send")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a Host header to accept; repeatable"
    )
    parser.add_argument("--slots", type=int, default=8, metavar="N", help="answers at once, per model (default 8)")
    parser.add_argument("--queue", type=int, default=128, metavar="N", help="answers that may wait (default 128)")
    parser.add_argument("--context", type=int, metavar="N", help="tokens an answer and its prompt may have")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")


def run(options: Namespace) -> int:
    """Serves until a signal."""
    from dotori.export.web import find_page
    from dotori.serve.lifecycle import check_host_name, checked_host, is_loopback, listening_socket, run_server
    from dotori.serve.limits import Limits
    from dotori.serve.models import Catalog
    from dotori.serve.page import read_page
    from dotori.serve.service import Service

    host, key = checked_host(options.host), _key(options.api_key_file)
    if key is None and not is_loopback(host):
        print(
            f"dotori: host: {host} without a key; others reach it, so requests must send one; "
            f"put a key into a file and give --api-key-file, or set {_KEY_VARIABLE}",
            file=sys.stderr,
        )
        return EXIT_NO_KEY
    for name, value, most in (("slots", options.slots, 256), ("queue", options.queue, 65536)):
        if not 1 <= value <= most:
            raise UserError(f"{name}: {value}; 1 to {most}; correct --{name}")
    for name in options.allow_host:
        check_host_name(name)
    place = f"[{host}]" if ":" in host else host

    def ready() -> None:
        address = f"http://{place}:{plug.getsockname()[1]}"
        names = ", ".join(served.name for served in service.catalog)
        print(f"{address}  chat page; {address}/v1 for clients; models: {names}; Ctrl-C stops", file=sys.stderr)

    with listening_socket(host, options.port) as plug:
        service = Service(Catalog(_models(options)), Limits())
        run_server(service, read_page(find_page()), plug, key, options.allow_host, ready)
    return 0


def _models(options: Namespace) -> list:
    from dotori.runtime.open import open_gguf
    from dotori.serve.engine import Engine
    from dotori.serve.models import Served, check_names, model_name

    pairs = []
    for word in options.models:
        name, equals, path = word.partition("=")
        is_path = not equals or Path(word).exists()
        pairs.append((model_name(Path(word)), word) if is_path else (name, path))
    check_names([name for name, _ in pairs])
    return [
        Served(name, Engine(open_gguf(path, options.threads, None, options.context), options.slots, options.queue))
        for name, path in pairs
    ]


def _key(file: Path | None) -> str | None:
    """The key of the file, else of the environment; raises UserError for one that cannot work."""
    if file is None:
        text, where = os.environ.get(_KEY_VARIABLE), _KEY_VARIABLE
    else:
        try:
            text, where = file.read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: {error}; a text file with the key is needed; check the path") from None
    if text is None:
        return None
    key = text.strip()
    if len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{where}: a key of {len(key)} characters; at least 8 of printable ASCII, no blank; change it")
    return key
