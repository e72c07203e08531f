"""MATLAB's files, whose elements are deflated."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from clipkit.safe._budget import allowance, require

_HEADER, _COMPRESSED, _PIECE = 128, 15, 1 << 20


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
