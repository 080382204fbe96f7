"""The chat page's files, read once into a table: no request ever becomes a path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from dotori.errors import UserError

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent."""

    data: bytes
    type: str
    etag: str


def read_page(folder: Path) -> dict[str, PageFile]:
    """URL path -> file, for all files of a known type; links and hidden files are left out. Raises UserError."""
    table: dict[str, PageFile] = {}
    total = 0
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        linked = any((folder / place).is_symlink() for place in (inside, *inside.parents))
        if hidden or linked or not path.is_file() or path.suffix not in TYPES:
            continue
        total += path.stat().st_size
        if total > _MAX_BYTES:
            raise UserError(f"{folder}: more than {_MAX_BYTES >> 20} MiB; the page's files are kept in memory; tidy up")
        data = path.read_bytes()
        found = PageFile(data, TYPES[path.suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"')
        table["/" + inside.as_posix()] = found
    if "/index.html" in table:
        table["/"] = table["/index.html"]
    return table


async def page_file(request: Request) -> Response:
    """Sends a file of the table, or 304 when the browser has it already."""
    found: PageFile = request.app.state.page[request.scope["path"]]
    headers = {"etag": found.etag, "cache-control": "no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if found.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(found.data, headers=headers, media_type=found.type)
