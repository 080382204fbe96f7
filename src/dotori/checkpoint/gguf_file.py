"""The GGUF container, read without trust: every count, size, offset, type and string is checked against the file's
length before it is used or anything is allocated for it. A broken file ends in one UserError naming the field.

    "GGUF" | version u32 = 3 | tensors u64 | pairs u64 | pairs: key, type u32, value | tensors: name, dims, type,
    offset | padding to general.alignment | data
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dotori.errors import UserError
from dotori.formats import bf16, f16, f32, q4_0, q4_k, q6_k, q8_0

# ggml's numbers of the types we read.
TYPES = {
    0: ("F32", f32),
    1: ("F16", f16),
    2: ("Q4_0", q4_0),
    8: ("Q8_0", q8_0),
    12: ("Q4_K", q4_k),
    14: ("Q6_K", q6_k),
    30: ("BF16", bf16),
}
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's place: shape with rows first (as torch has it), ggml type, start and length in bytes of the file."""

    shape: tuple[int, ...]
    type: int
    start: int
    length: int


class GGUFFile:
    """Metadata and tensor table of a GGUF file; tensors are read one at a time."""

    def __init__(self, path: Path) -> None:
        """Reads and checks all but the tensors' data. Raises UserError."""
        self.path = path
        try:
            self._data = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); a GGUF file is needed; check the path") from None
        self._at = 0
        self.metadata: dict[str, Any] = {}
        self.tensors: dict[str, TensorInfo] = {}
        self._read()

    def fail(self, what: str, got: object, rule: str) -> UserError:
        """The error for a broken field."""
        return UserError(f"{self.path}: {what} {got}; {rule}; the file is damaged, get it again")

    def _read(self) -> None:
        if bytes(self._data[:4]) != b"GGUF":
            raise self.fail("first bytes", bytes(self._data[:4]), "a GGUF file begins with GGUF")
        self._at = 4
        version = self._scalar("<I", "version")
        if version != 3:
            raise self.fail("version", version, "3 is supported")
        tensor_count, pair_count = self._scalar("<Q", "tensor count"), self._scalar("<Q", "pair count")
        # A pair takes at least 13 bytes, a tensor 32: more cannot be in the file.
        if pair_count * 13 + tensor_count * 32 > len(self._data):
            raise self.fail("counts", (tensor_count, pair_count), "the file is too short for them")
        for _ in range(pair_count):
            key = self._string("key")
            if key in self.metadata:
                raise self.fail("key", repr(key), "each may stand once")
            self.metadata[key] = self._value(self._scalar("<I", f"type of {key}"), key)
        infos = [self._tensor() for _ in range(tensor_count)]
        self._place(infos)

    def _take(self, size: int, what: str) -> bytes:
        if size > len(self._data) - self._at:
            raise self.fail(what, f"of {size} bytes at {self._at}", f"the file ends at {len(self._data)}")
        self._at += size
        return self._data[self._at - size : self._at].tobytes()

    def _scalar(self, code: str, what: str) -> Any:
        return struct.unpack(code, self._take(struct.calcsize(code), what))[0]

    def _string(self, what: str) -> str:
        raw = self._take(self._scalar("<Q", f"length of {what}"), what)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fail(what, repr(raw[:40]), "strings are UTF-8") from None

    def _value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._string(key)
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind], key)
        if kind != _ARRAY:
            raise self.fail(f"type of {key}", kind, "a GGUF type is needed")
        inner, count = self._scalar("<I", f"type of {key}"), self._scalar("<Q", f"length of {key}")
        if inner == _STRING:
            if count * 8 > len(self._data) - self._at:
                raise self.fail(f"length of {key}", count, "the file is too short for it")
            return [self._string(key) for _ in range(count)]
        if inner not in _SCALARS:
            raise self.fail(f"type of {key}", inner, "arrays hold numbers or strings")
        code = _SCALARS[inner]
        raw = self._take(count * struct.calcsize(code), key)
        return np.frombuffer(raw, dtype=code.replace("?", "b1")).tolist()

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self._string("tensor name"), self._scalar("<I", "tensor dimensions")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise self.fail(f"dimensions of {name}", dimensions, f"1 to {_MAX_DIMENSIONS}")
        shape = tuple(self._scalar("<Q", f"shape of {name}") for _ in range(dimensions))[::-1]
        return name, shape, self._scalar("<I", f"type of {name}"), self._scalar("<Q", f"offset of {name}")

    def _place(self, infos: list[tuple[str, tuple[int, ...], int, int]]) -> None:
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 20:
            raise self.fail("general.alignment", alignment, "a power of two is needed")
        base = -(-self._at // alignment) * alignment
        ends: list[tuple[int, int, str]] = []
        for name, shape, kind, offset in infos:
            length = self._length(name, shape, kind)
            start = base + offset
            if offset % alignment or start + length > len(self._data):
                raise self.fail(f"offset of {name}", offset, f"{length} bytes must lie aligned inside the file")
            if name in self.tensors:
                raise self.fail("tensor", repr(name), "each may stand once")
            self.tensors[name] = TensorInfo(shape, kind, start, length)
            ends.append((start, start + length, name))
        ends.sort()
        for (_, end, one), (start, _, other) in pairwise(ends):
            if start < end:
                raise self.fail(f"tensors {one} and", other, "they overlap")

    def _length(self, name: str, shape: tuple[int, ...], kind: int) -> int:
        if kind not in TYPES:
            raise self.fail(f"type of {name}", kind, f"{', '.join(label for label, _ in TYPES.values())} are supported")
        size = 1
        for dimension in shape:
            size *= dimension
        # Python's integers do not wrap, so one comparison covers every product.
        if not 0 < size <= 8 * len(self._data):
            raise self.fail(f"shape of {name}", shape, "it must fit the file")
        layout = TYPES[kind][1]
        if shape[-1] % layout.BLOCK:
            raise self.fail(f"shape of {name}", shape, f"rows of {TYPES[kind][0]} are multiples of {layout.BLOCK}")
        return size // layout.BLOCK * layout.BLOCK_BYTES

    def read(self, name: str) -> np.ndarray:
        """A tensor as float32 in its shape, rows first; raises UserError when there is none of that name."""
        if name not in self.tensors:
            raise self.fail("tensor", repr(name), "the architecture needs it and it is missing")
        info = self.tensors[name]
        raw = self._data[info.start : info.start + info.length]
        layout = TYPES[info.type][1]
        cols = info.shape[-1]
        return layout.unpack(raw.reshape(-1, cols // layout.BLOCK * layout.BLOCK_BYTES), cols).reshape(info.shape)
