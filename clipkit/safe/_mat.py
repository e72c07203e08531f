"""MATLAB's files, whose elements are deflated."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clipkit.safe._budget import allowance, require

_HEADER, _MATRIX, _COMPRESSED, _PIECE = 128, 14, 15, 1 << 20
_COMPLEX = 1 << 11  # in an array's flags
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # as stored
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


def check_mat(path: str | Path) -> None:
    """Inflates a MATLAB 5 file's elements piece by piece, which are thrown away, before scipy keeps them whole.

    Raises:
        OverBudget: they would grow beyond the file's allowance.
        ValueError, zlib.error: damaged.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("is no plain file")
    data = path.read_bytes()
    order = ">" if data[126:128] == b"MI" else "<"
    place, grown = _HEADER, 0
    while place + 8 <= len(data):
        kind, length = struct.unpack(f"{order}II", data[place : place + 8])
        if kind == _COMPRESSED:
            element, rest = zlib.decompressobj(), data[place + 8 : place + 8 + length]
            while rest and grown <= allowance(len(data)):
                grown += len(element.decompress(rest, _PIECE))
                rest = element.unconsumed_tail
            require(path, len(data), grown)
        place += 8 + length


def read_mat(path: str | Path, name: str) -> np.ndarray:
    """A real numeric array of a MATLAB 5 file (`save -v6` or `-v7`). scipy takes a type that is none for a place in its
    own memory, and crashes.

    Raises:
        KeyError: it has no such array.
        OverBudget, ValueError, zlib.error: as `check_mat`; another kind of array.
    """
    check_mat(path)
    data = Path(path).read_bytes()
    order = ">" if data[126:128] == b"MI" else "<"
    for kind, body in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            kind, body = next(_elements(zlib.decompress(body), order), (0, b""))
        parts = [part for _, part in _elements(body, order)] if kind == _MATRIX else []
        if len(parts) > 2 and parts[2] == name.encode():
            return _array(body, order)
    raise KeyError(name)


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each; one of up to four bytes lies in its own head."""
    place = 0
    while place + 8 <= len(data):
        kind, length = struct.unpack(f"{order}II", data[place : place + 8])
        start = place + 8
        if kind >> 16:
            kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
        body = data[start : start + length]
        if len(body) < length:
            raise ValueError("an element is longer than the file")
        yield kind, body
        place = max(start + length, place + 8)
        place += -place % 8 if kind != _COMPRESSED else 0


def _array(body: bytes, order: str) -> np.ndarray:
    (_, flags), (_, sides), _, (kind, numbers), *_ = _elements(body, order)
    (flag,) = struct.unpack(f"{order}I", flags[:4])
    shape = np.frombuffer(sides, f"{order}i4").tolist()
    if flag & _COMPLEX or flag & 0xFF not in _CLASSES or kind not in _TYPES:
        raise ValueError("an array that does not hold real numbers")
    found = np.frombuffer(numbers, order + _TYPES[kind])
    if min(shape, default=0) < 0 or math.prod(shape) != found.size:
        raise ValueError(f"an array of {found.size} numbers says that its shape is {shape}"[:200])
    return found.reshape(shape, order="F").astype(_CLASSES[flag & 0xFF])
