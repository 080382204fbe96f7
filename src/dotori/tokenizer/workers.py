"""Word caches in processes of their own, since looking words up in Python holds one core.

A worker reads requests on stdin and answers on stdout until stdin ends, so it dies with its parent, however that dies.

    request, answer    uint64 n, uint64 sizes[n], then n pieces of so many bytes: texts in UTF-8, ids as in WordCache
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO

import numpy as np

from dotori.errors import UserError
from dotori.tokenizer.load import Tokenizer, load_tokenizer
from dotori.tokenizer.word_cache import WordCache, id_dtype

_SIZE = np.dtype("<u8")
# Words that all workers together remember, about 250 bytes each.
_PIECES = 1_200_000


class Workers:
    """`count` processes that encode with the tokenizer in `folder`; a context manager. encode() may run in threads."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, count: int) -> None:
        self.tokenizer, self.dtype, self.count = tokenizer, id_dtype(tokenizer), count
        command = [sys.executable, "-m", "dotori.tokenizer.workers", str(folder), str(_PIECES // count)]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            for _ in range(count)
        ]
        self._idle: SimpleQueue[subprocess.Popen] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """Ids of each text, from whichever process is idle; raises UserError when it ended."""
        process = self._idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            _write(process.stdin, [text.encode() for text in texts])
            answer = _read(process.stdout)
        except (BrokenPipeError, EOFError):
            raise UserError(
                f"tokenizing: a worker process ended with {process.wait()}; it may have been killed for its memory; "
                "run the same command to continue"
            ) from None
        finally:
            self._idle.put(process)
        return [np.frombuffer(piece, dtype=self.dtype) for piece in answer]


def _write(stream: IO[bytes], pieces: list[bytes]) -> None:
    stream.write(np.array([len(pieces), *map(len, pieces)], dtype=_SIZE).tobytes())
    stream.write(b"".join(pieces))
    stream.flush()


def _read(stream: IO[bytes]) -> list[bytes]:
    [count] = np.frombuffer(_exactly(stream, _SIZE.itemsize), dtype=_SIZE).tolist()
    sizes = np.frombuffer(_exactly(stream, count * _SIZE.itemsize), dtype=_SIZE).tolist()
    return [_exactly(stream, size) for size in sizes]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def main() -> int:
    """A worker's life."""
    words = WordCache(load_tokenizer(Path(sys.argv[1])), int(sys.argv[2]))
    with open(0, "rb") as asked, open(1, "wb") as answers:
        while True:
            try:
                texts = _read(asked)
            except EOFError:
                return 0
            _write(answers, [ids.tobytes() for ids in words.encode([text.decode() for text in texts])])


if __name__ == "__main__":
    sys.exit(main())
