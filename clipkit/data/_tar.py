"""Members of a tar archive in their order, from a file that need not be on this machine. Python's `tarfile` takes as
much memory for a member's long name as its header claims; here a name may have a MiB, and nothing else is kept."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_BLOCK = 512
_LONGEST = 1 << 20  # bytes of a header's text
_FILES, _FOLDER = (b"0", b"\0", b"7"), b"5"
_KINDS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}


class TarError(ValueError):
    """No tar archive, or a damaged one from here on."""


class Member(NamedTuple):
    """`kind` is '' for a file, else what it is; `file` stands at its content of `size` bytes."""

    name: str
    size: int
    kind: str
    file: BinaryIO


def members(file: BinaryIO) -> Iterator[Member]:
    """Files and others, not folders; of each as much may be read as there is, before the next one is asked for.

    Raises:
        TarError: a header is damaged, or the file ends too early.
    """
    end = file.seek(0, os.SEEK_END)
    place, name, size = 0, None, None
    while place < end:
        file.seek(place)
        head = file.read(_BLOCK)
        if head.count(0) == len(head) and head:
            return
        if len(head) < _BLOCK or not _is_right(head):
            raise TarError(f"no header of a tar archive at byte {place}")
        length, kind = _number(head[124:136], place), head[156:157]
        if kind in (b"x", b"g", b"L", b"K"):
            if length > _LONGEST:
                raise TarError(f"a header of {length} bytes at byte {place}")
            text = file.read(length)
            if kind == b"L":
                name = _text(text)
            elif kind == b"x":
                own = _pax(text, place)
                name = _text(own["path"]) if "path" in own else name
                size = _decimal(own["size"], place) if "size" in own else size
        else:
            length = length if size is None else size
            own_name = name if name is not None else _own_name(head)
            if kind != _FOLDER:
                if place + _BLOCK + length > end:
                    raise TarError(f"cut off within {own_name[:200]!r}")
                what = "" if kind in _FILES else _KINDS.get(kind, "of an unknown kind")
                yield Member(own_name, length, what, file)
            name = size = None
        place += _BLOCK + -(-length // _BLOCK) * _BLOCK
    raise TarError("cut off: it has no end")


def _is_right(head: bytes) -> bool:
    stated = head[148:156].strip(b" \0")
    total = sum(head) - sum(head[148:156]) + 8 * ord(" ")
    return stated.isdigit() and len(stated) < 8 and not stated.strip(b"01234567") and int(stated, 8) == total


def _number(field: bytes, place: int) -> int:
    if field[0] == 0x80:  # GNU's way of 8 GiB and more
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise TarError(f"a header without a size at byte {place}")
    return int(digits or b"0", 8)


def _pax(text: bytes, place: int) -> dict[str, bytes]:
    """Records `LENGTH KEY=VALUE\\n`."""
    found = {}
    stream = io.BytesIO(text)
    while rest := text[stream.tell() : stream.tell() + 20].strip(b"\0"):
        length = _decimal(rest.partition(b" ")[0], place)
        record = stream.read(length)
        key, equals, value = record.partition(b" ")[2].partition(b"=")
        if len(record) < length or not equals or not record.endswith(b"\n"):
            raise TarError(f"a damaged header at byte {place}")
        found[key.decode("utf-8", "replace")] = value[:-1]
    return found


def _decimal(digits: bytes, place: int) -> int:
    if not digits.isdigit() or len(digits) > 18 or (int(digits) == 0 and len(digits) > 1):
        raise TarError(f"a damaged header at byte {place}")
    return int(digits)


def _own_name(head: bytes) -> str:
    name, prefix = (part.split(b"\0")[0] for part in (head[:100], head[345:500] if head[257:262] == b"ustar" else b""))
    return _text(prefix + b"/" + name if prefix and head[257:263] == b"ustar\0" else name)


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "replace")
