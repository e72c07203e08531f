"""Files that are complete or absent, and claims that end with their process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipkit.errors import ClipkitError
from clipkit.files import open_plain, put

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, so one process a store there
    fcntl = None  # type: ignore[assignment]


class StoreError(ClipkitError):
    """A store that cannot be used as asked: stale, foreign, damaged, or out of disk space. One line."""


@contextmanager
def claim(path: Path, *, wait: bool = False) -> Iterator[int | None]:
    """Takes the right to write `path`: yields a descriptor of `path.tmp`, or None.

    None means that `path` exists already or (`wait=False`) that a living process holds the claim. The lock goes away
    with its process, however that ends, and the next owner reuses the same temporary file, so kills leave no litter.
    On leaving without `commit` the temporary file is removed.
    """
    temporary = temporary_of(path)
    fd = _lock(path, temporary, wait)
    if fd is None:
        yield None
        return
    try:
        yield fd
    finally:
        # After a commit the name is gone, or belongs to somebody's newer claim: remove only our own file.
        if _is_same(fd, temporary):
            with suppress(FileNotFoundError):
                temporary.unlink()
        os.close(fd)


def commit(fd: int, path: Path, chunks: list[bytes | memoryview]) -> None:
    """Writes the claimed file and gives it its name: write, fsync, rename, fsync the folder.

    Raises:
        OSError: as the system says, for instance a full disk; `path` is then absent.
    """
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        while len(view):
            view = view[os.write(fd, view) :]
    put(fd, temporary_of(path), path)


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a file that lies here itself. A folder that came from somebody else may hold links to files of
    this machine, or pipes that never end.

    Raises:
        FileNotFoundError: no such file.
        StoreError: a link, or no plain file; or one with another name, which would be written too.
    """
    try:
        fd = open_plain(path, flags)
    except ClipkitError as error:
        raise StoreError(str(error)) from None
    if flags != os.O_RDONLY and os.fstat(fd).st_nlink > 1:
        os.close(fd)
        raise StoreError(f"{path}: has another name (a hard link), a store needs a file of its own; remove it")
    return fd


def temporary_of(path: Path) -> Path:
    """Where `path` is written before it has its name."""
    return path.with_name(path.name + ".tmp")


def sweep(folder: Path) -> None:
    """Removes temporary files that no living process claims."""
    for temporary in sorted(folder.glob("*.tmp")):
        with claim(temporary.with_name(temporary.name[: -len(".tmp")])):
            pass


def explain(error: OSError, path: Path, size: int, kept: str) -> StoreError:
    """The line for a write that failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        there = next(folder for folder in path.absolute().parents if folder.exists())
        free = shutil.disk_usage(there).free
        reason = f"the disk is full ({size / 2**20:.2f} MiB needed, {free / 2**20:.2f} MiB free)"
    else:
        reason = f"cannot be written ({error.strerror or error})"
    return StoreError(f"{path}: {reason}; {kept}; make room and run the same command again")


def _lock(path: Path, temporary: Path, wait: bool) -> int | None:
    while not path.exists():
        try:
            fd = open_file(temporary, os.O_RDWR | os.O_CREAT)
        except StoreError:  # nothing that a store left here: take its name, without touching what it leads to
            if temporary.is_dir() and not temporary.is_symlink():
                raise
            temporary.unlink(missing_ok=True)
            continue
        except OSError as error:
            raise explain(error, path, 4096, "what was there before stays") from None
        try:
            if fcntl is not None:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise StoreError(f"{path.parent}: this file system has no file locks; use a local disk") from None
        # Between open and lock the former owner may have renamed or removed the file that we opened.
        if _is_same(fd, temporary):
            if not path.exists():
                return fd
            with suppress(FileNotFoundError):
                temporary.unlink()
        os.close(fd)
    return None


def _is_same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False
