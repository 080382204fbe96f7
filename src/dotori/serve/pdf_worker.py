"""Text of a PDF, in a process of its own that may take only so much memory and time: `pdf_worker BYTES SECONDS
PAGES CHARACTERS`, the file on standard input, a JSON list of pages on standard output.

Exit code 3: broken; 4: encrypted; 5: too large or too much work. PDFs come from anywhere, and a few kilobytes of one
can unfold to gigabytes.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import LimitReachedError

BROKEN, ENCRYPTED, TOO_LARGE = 3, 4, 5


def confine(memory: int, seconds: int) -> None:
    """Limits this process: bytes of address space, seconds of processor time, no file may grow."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def pages_of(data: bytes, most_pages: int, most_characters: int) -> tuple[int, list[str]]:
    """(0, text of each page), or the exit code that says why not."""
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return ENCRYPTED, []
        if len(reader.pages) > most_pages:
            return TOO_LARGE, []
        pages, characters = [], 0
        for page in reader.pages:
            pages.append(page.extract_text())
            characters += len(pages[-1])
            if characters > most_characters:
                return TOO_LARGE, []
        return 0, pages
    except (MemoryError, RecursionError, LimitReachedError):
        return TOO_LARGE, []
    # A broken file may raise anything out of the library, and all of it means the same to the sender.
    except Exception:
        return BROKEN, []


def main(arguments: list[str]) -> int:
    """Reads, answers and ends."""
    memory, seconds, pages, characters = map(int, arguments)
    logging.disable(logging.CRITICAL)
    data = sys.stdin.buffer.read()
    confine(memory, seconds)
    code, found = pages_of(data, pages, characters)
    if code == 0:
        text = json.dumps(found).encode()
        while text:
            text = text[os.write(1, text) :]
    return code


if __name__ == "__main__":
    # No clean-up: taking apart a huge document can take longer than reading it.
    os._exit(main(sys.argv[1:]))
