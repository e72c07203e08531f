"""Files by their address, on this machine or behind any protocol of fsspec (`s3://bucket/a.tar`, `memory://a.tar`):
looked up, listed, opened, written whole."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.core import url_to_fs

from clipkit.errors import ClipkitError, one_line
from clipkit.files import write_bytes

from ._paths import walk

_EDGE = 1 << 16
_BLOCK = 8 << 20  # bytes that are fetched at once where a file is read from its start on
_NAME_BYTES = 255  # of one part of a path
# What is wrong with the one file; anything else, such as a network that is down, may be over soon.
OF_THE_FILE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_local(address: str) -> bool:
    """Whether it lies on this machine."""
    return "://" not in address and "::" not in address


def whole(address: str) -> str:
    """The one way to write it: absolute, without a slash at its end.

    Raises:
        ClipkitError: no such protocol, or one within another.
    """
    if is_local(address):
        return os.path.abspath(address)
    if "::" in address:
        raise ClipkitError(f"{address}: protocols within one another (::) are not read here")
    fs, path = _fs(address)
    return fs.unstrip_protocol(path).rstrip("/")


def join(root: str, name: str) -> str:
    """`root/name`."""
    return f"{root.rstrip('/')}/{name}" if root != "/" else f"/{name}"


def parent(address: str) -> str:
    """The folder that a file lies in."""
    return address.rpartition("/")[0] or ("/" if address.startswith("/") else ".")


def below(root: str, name: str) -> str | None:
    """The address that a stranger's list calls by `name`; None where that leads out of `root`, or no file can have it.

    Args:
        name: relative to `root`, or a whole address.
    """
    top = os.path.abspath(root) if is_local(root) else root
    prefix = top.rstrip("/") + "/"
    inner = name.removeprefix(prefix)
    parts = inner.split("/")
    bad = ".." in parts or "\0" in inner or "\\" in inner or not is_local(inner) or inner.startswith("/")
    if bad or not inner or max(len(os.fsencode(part.encode("utf-8", "replace"))) for part in parts) > _NAME_BYTES:
        return None
    return prefix + inner


def find(address: str) -> list[tuple[str, int]]:
    """(whole address, bytes) of a file, of what a pattern with `*` means, or of all files in a folder and its
    subfolders, sorted.

    Raises:
        FileNotFoundError: nothing is there.
    """
    if is_local(address) and (place := Path(address)).exists():
        files = walk(place, lost=True) if place.is_dir() else [place]
        return [(file.as_posix(), file.stat().st_size if file.exists() else 0) for file in files]
    fs, path = _fs(address)
    with _failing(address):
        found = fs.glob(path, detail=True) if any(sign in path for sign in "*?[") else fs.find(path, detail=True)
    if not found:
        raise FileNotFoundError(f"{address}: no such file or folder")
    full = str if is_local(address) else fs.unstrip_protocol
    return [(full(name), about["size"] or 0) for name, about in sorted(found.items()) if about["type"] == "file"]


def size_of(address: str) -> int:
    """Bytes of a plain file.

    Raises:
        OSError: there is none, or it is a folder, a pipe or a device.
        ClipkitError: it cannot be told now.
    """
    fs, path = _fs(address)
    with _failing(address):
        about = fs.info(path)
    if about["type"] != "file":
        raise IsADirectoryError(f"{address}: is no plain file")
    return int(about["size"] or 0)


@contextmanager
def reading(address: str) -> Iterator[BinaryIO]:
    """An open file.

    Raises:
        OSError: as `size_of`.
        ClipkitError: it cannot be read now.
    """
    size_of(address)  # a pipe would be waited for
    fs, path = _fs(address)
    with _failing(address):
        file = fs.open(path, "rb", **({} if is_local(address) else {"block_size": _BLOCK}))
    with file:
        yield file


def fetch(address: str, to: Path) -> None:
    """Copies a file to this machine. Errors as `reading`."""
    fs, path = _fs(address)
    with _failing(address):
        fs.get_file(path, str(to))


def state_of(address: str) -> str:
    """16 digits that change when the file does: of its size and its first and last 64 KiB, since reading terabytes at
    each start would take longer than the work. Errors as `reading`."""
    digest = hashlib.sha256()
    with reading(address) as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(str(size).encode())
        for place in (0, max(size - _EDGE, 0)):
            file.seek(place)
            digest.update(file.read(_EDGE))
    return digest.hexdigest()[:16]


def write(address: str, data: bytes | memoryview) -> None:
    """Makes or replaces a file whole, and its folder where that is missing.

    Raises:
        ClipkitError: it cannot be written.
    """
    if is_local(address):
        os.makedirs(parent(address), exist_ok=True)
        write_bytes(address, data)
        return
    fs, path = _fs(address)
    with _failing(address, "written"):
        fs.pipe_file(path, bytes(data))


def exists(address: str) -> bool:
    """Whether there is such a file or folder."""
    fs, path = _fs(address)
    with _failing(address):
        return fs.exists(path)


def _fs(address: str) -> tuple[Any, str]:
    try:
        return url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ClipkitError(f"{address}: cannot be reached ({one_line(error, 200)})") from None


@contextmanager
def _failing(address: str, done: str = "read") -> Iterator[None]:
    try:
        yield
    except (ClipkitError, *OF_THE_FILE):
        raise
    except Exception as error:  # each protocol has its own
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise FileNotFoundError(error.errno, error.strerror, address) from None
        raise ClipkitError(
            f"{address}: could not be {done} ({one_line(error, 200)}); run the same command again"
        ) from error
