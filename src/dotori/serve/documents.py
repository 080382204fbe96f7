"""POST /documents/text: the text of a file that a user chose in the page, nothing kept."""

from __future__ import annotations

import json
import subprocess
import sys

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse

from dotori.serve import pdf_worker
from dotori.serve.errors import ApiError, invalid
from dotori.serve.limits import Limits
from dotori.serve.service import service_of

ENCODINGS = {"utf-8": "utf-8-sig", "utf8": "utf-8-sig", "euc-kr": "cp949", "cp949": "cp949", "us-ascii": "ascii"}


async def documents_text(http: HttpRequest) -> JSONResponse:
    """A PDF's pages, or a text as one page."""
    service = service_of(http)
    data: bytes = http.scope["state"]["body"]
    kind, _, parameters = http.headers.get("content-type", "").partition(";")
    if not data:
        raise invalid("body: empty; the bytes of the document are needed", code="invalid_document")
    if kind.strip().lower() == "application/pdf":
        return JSONResponse({"pages": await service.pdf_workers.run(pdf_pages, data, service.limits)})
    return JSONResponse({"pages": [decoded(data, parameters)]})


def decoded(data: bytes, parameters: str) -> str:
    """Text of `data` in the charset that the content type names, else UTF-8. Raises ApiError 400."""
    name = parameters.strip().lower().removeprefix("charset=").strip('"') or "utf-8"
    if name not in ENCODINGS:
        raise invalid(f"content-type: {name[:40]!r}; one of {', '.join(ENCODINGS)}; convert the text", "content-type")
    try:
        text = data.decode(ENCODINGS[name])
    except UnicodeDecodeError as error:
        raise invalid(
            f"body: not {name} (byte {error.start}); convert the text to UTF-8", code="invalid_document"
        ) from None
    if "\0" in text:
        raise invalid("body: holds NUL characters; this is no text; choose a text file", code="invalid_document")
    return text


def pdf_pages(data: bytes, limits: Limits) -> list[str]:
    """The text of each page, from a process of its own. Raises ApiError 400."""
    numbers = (limits.pdf_memory_bytes, max(1, int(limits.pdf_seconds)), limits.pdf_pages, limits.pdf_characters)
    command = [sys.executable, "-m", pdf_worker.__name__, *map(str, numbers)]
    try:
        done = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limits.pdf_seconds
        )
        code = done.returncode
    except subprocess.TimeoutExpired:
        code = pdf_worker.TOO_LARGE
    if code == 0:
        return [page.encode("utf-8", "replace").decode() for page in json.loads(done.stdout)]
    reasons = {
        pdf_worker.BROKEN: ("not a PDF that can be read", "save it anew", "invalid_document"),
        pdf_worker.ENCRYPTED: ("encrypted", "save it without a password", "encrypted_document"),
    }
    most = f"at most {limits.pdf_pages} pages, {limits.pdf_characters} characters and {limits.pdf_seconds:g} s of work"
    reason, advice, name = reasons.get(code, (f"too large; {most}", "split it", "document_too_large"))
    raise ApiError(400, f"body: {reason}; {advice}", name)
