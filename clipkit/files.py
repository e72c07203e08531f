"""Files that are whole or absent, whenever a process or the machine stops: written beside their place, synced to the
disk, then renamed over it. No link is followed to a file that is written, and only plain files are replaced."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clipkit.errors import ClipkitError

# `NAME.<16 hex digits>.partial`; older versions put the process's number there.
_PARTIAL = re.compile(r".*\.([0-9a-f]{16}|\d+)\.partial", re.DOTALL)
# What no other file of the folder would escape either.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))  # nor wait at a pipe's end


class DiskError(ClipkitError):
    """A disk or folder that takes no more files: a command over many ends, instead of leaving out one after another."""


@contextmanager
def writing(path: str | os.PathLike) -> Iterator[Path]:
    """`with writing(path) as partial:` fills `partial`, a new file in the same folder, which then becomes `path`.

    At any moment `path` is absent, the old file or the new one. `partial` ends in `.partial`, so a writer that goes by
    endings must be told the format. An error inside leaves `path` as it was and no file beside it; a kill may leave
    the partial file, see `clean_partial`.

    Raises:
        ClipkitError: `path` is a link, a folder or a device; or the system cannot write.
        DiskError: one that tells of the disk or the folder, as where it is full.
    """
    path = Path(path)
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise ClipkitError(f"{path}: {_kind(path)}, and only plain files are replaced; remove it, or give another name")
    partial = path.with_name(f"{path.name[:40]}.{secrets.token_hex(8)}.partial")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # follows no link, by O_EXCL
        try:
            yield partial
            fd = open_plain(partial, os.O_RDWR)
            try:
                put(fd, partial, path)
            finally:
                os.close(fd)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # torch words what the system said
        if not isinstance(cause, OSError):
            raise
        raise (DiskError if cause.errno in _OF_THE_DISK else ClipkitError)(
            f"{path}: cannot be written ({cause.strerror or cause}); what was there before is untouched"
        ) from error


def write_bytes(path: str | os.PathLike, data: bytes | memoryview) -> None:
    """Replaces a file whole, see `writing`."""
    with writing(path) as partial:
        partial.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Replaces a file whole by UTF-8 text, see `writing`. Of a file's name that is no text, odd bytes are written as
    Python and JSON escape them, `\\udce9`."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def append_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Adds lines with one write and syncs them, after a line break if the last writer was killed before its own.

    Raises:
        ClipkitError: `path` is no plain file, or the system cannot write.
    """
    path = Path(path)
    is_new = not path.exists()
    try:
        with open(open_plain(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+") as stream:
            text = "".join(f"{line}\n" for line in lines)
            if stream.seek(0, os.SEEK_END) > 0:
                stream.seek(-1, os.SEEK_END)
                text = text if stream.read(1) == b"\n" else f"\n{text}"
            stream.write(text.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            _sync_folder(path.parent)
    except OSError as error:
        raise ClipkitError(f"{path}: cannot be written ({error.strerror or error}); what was there stays") from error


def clean_partial(folder: str | os.PathLike) -> None:
    """Removes what killed writers left in a folder; no living one may be at work there."""
    for file in Path(folder).iterdir():
        if _PARTIAL.fullmatch(file.name) and not file.is_dir():
            file.unlink(missing_ok=True)


def open_plain(path: str | os.PathLike, flags: int) -> int:
    """A descriptor of a plain file, by `os.open` without following a link; what it creates, the umask protects.

    Raises:
        ClipkitError: a link, or no plain file.
        OSError: as the system says.
    """
    try:
        fd = os.open(path, flags | _FLAGS, 0o666)
    except OSError as error:
        if os.path.islink(path) or error.errno in (errno.EISDIR, errno.ENXIO):
            raise ClipkitError(f"{path}: {_kind(path)}, and a plain file is needed; remove it") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ClipkitError(f"{path}: {_kind(path)}, and a plain file is needed; remove it")
    return fd


def put(fd: int, partial: Path, path: Path) -> None:
    """Gives the written file `partial`, open as `fd`, its name: fsync, rename, fsync of the folder."""
    os.fsync(fd)
    os.replace(partial, path)
    _sync_folder(path.parent)


def _kind(path: str | os.PathLike) -> str:
    if os.path.islink(path):
        return "is a link"
    return "is a folder" if os.path.isdir(path) else "is a pipe, socket or device"


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # not every system opens folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # nor does every file system sync them
            raise
    finally:
        os.close(handle)
