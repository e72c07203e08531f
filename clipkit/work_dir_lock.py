"""One training at a time in a work folder: two would delete each other's checkpoints and mix their logs."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

from clipkit.errors import ClipkitError, one_line
from clipkit.files import open_plain

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "training.lock"
_held: dict[Path, int] = {}


def lock(work_dir: str | os.PathLike) -> None:
    """Takes a work folder for this process, until `unlock` or its end, however it ends.

    The system holds the lock (a POSIX record lock, which network folders pass on), so that a file that a killed run
    left behind locks nothing. It is the process's own: a worker that outlives it by a moment holds none, and a second
    training of the same process is let in. Where the file system has no locks, a line says so.

    Raises:
        ClipkitError: another training runs there; the line says which.
    """
    folder = Path(work_dir).resolve()
    if fcntl is None or folder in _held:
        return
    fd = open_plain(folder / NAME, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        other = _who(fd)
        os.close(fd)
        raise ClipkitError(
            f"{work_dir}: another training writes there ({other}); end it, or give another --work-dir"
        ) from error
    except OSError as error:
        os.close(fd)
        print(f"{work_dir}: two trainings at once would go unnoticed there ({one_line(error)})", file=sys.stderr)
        return
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(owner).encode(), 0)
    _held[folder] = fd


def unlock(work_dir: str | os.PathLike) -> None:
    """Gives a work folder back. The file stays, empty: who removed it could remove that of the next one."""
    fd = _held.pop(Path(work_dir).resolve(), None)
    if fd is not None:
        os.ftruncate(fd, 0)
        os.close(fd)


def _who(fd: int) -> str:
    try:
        owner = json.loads(os.pread(fd, 1000, 0))
        return f"process {int(owner['pid'])} on {str(owner['host'])[:100]} since {str(owner['since'])[:30]}"
    except (ValueError, LookupError, TypeError):
        return "a process that just started"


def _forget() -> None:
    for fd in _held.values():  # closing it in a child leaves the parent's lock
        os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
