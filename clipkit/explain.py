"""The command's last word on an error that no reader has put into words: one line that names the file and the repair.

Readers raise `ClipkitError` from where they know their file. What is left comes here: what the system says, memory,
processes that were killed, and what parsers raise, with the file that was in hand, found in the traceback.
"""

from __future__ import annotations

import binascii
import csv
import errno
import lzma
import os
import pickle
import re
import struct
import traceback
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from clipkit.errors import ClipkitError, one_line

_DISK = "free space there, or write elsewhere"
_PERMISSION = "change its permissions, or use another place"
_OPEN = "raise the limit (`ulimit -n 65536`), or use fewer workers"
_LINE = "the network or the machine at its other end failed; try again"
_REPAIRS = {
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EFBIG: "the file system takes no larger files; write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOENT: "check the path",
    errno.EEXIST: "remove it, or give another name",
    errno.ENOTEMPTY: "remove it, or give another name",
    errno.ENOTDIR: "a part of the path that should be a folder is a file",
    errno.EISDIR: "a file is needed",
    errno.ENAMETOOLONG: "give a shorter name, or write texts into a file and name that",
    errno.ELOOP: "its links lead in a circle; give the file itself",
    errno.EMFILE: _OPEN,
    errno.ENFILE: _OPEN,
    errno.EIO: "the disk or the network folder fails; copy the file to another one",
    errno.ESTALE: "the network folder changed meanwhile; try again",
    errno.EPIPE: "its reader is gone",
    errno.ENOMEM: "give fewer workers or smaller batches",
    errno.EBUSY: "another program uses it; end that, or give another name",
    errno.ETXTBSY: "another program uses it; end that, or give another name",
    errno.EADDRINUSE: "another process uses this port; end it, or choose another",
    **dict.fromkeys((errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH), _LINE),
}
# What parsers raise over bytes or values that they did not expect, beside ValueError.
_OF_PARSERS = (
    *(EOFError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, SyntaxError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pickle.UnpicklingError, csv.Error, binascii.Error),
)
_FILE_NAMES = ("path", "file", "filename", "source", "img_path")
_MEMORY = "memory ran out; give smaller batches or pictures, or fewer workers"
# RuntimeErrors of torch that are no defect, by their text; {0} is the first group.
_OF_TORCH = (
    (
        r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) (?:is killed by signal: (?:Killed|Terminated)|exited unexp)",
        "a worker of the data loader (process {0}) was killed, most often because memory ran out; give fewer workers, "
        "for example --cfg-options train_dataloader.num_workers=1",
    ),
    (
        r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) is killed by signal: ([\w ]+)",
        "a worker of the data loader (process {0}) died ({1}): shared memory ran out (see `df /dev/shm`), or a picture "
        "broke a decoder; give fewer workers, or train_dataloader.num_workers=0 to see which",
    ),
    (r"DataLoader timed out after (\S+) seconds", "no data came for {0} seconds: the disk is too slow, or hangs"),
    (r"out of memory|can't allocate memory|not enough memory|Cannot allocate memory", _MEMORY),
    (r"No space left on device", f"a disk or /dev/shm is full (No space left on device); {_DISK}"),
    (r"Too many open files|received 0 items of ancdata", f"too many files are open; {_OPEN}"),
    (
        r"(?i:(?:gloo|NCCL|TCPStore|c10d).*(?:connection|timed out|timeout|broken pipe|remote)|Connection closed by)",
        "another process of this run stopped or cannot be reached; the first error line of all processes says why",
    ),
    (r"value cannot be converted to type \w+ without overflow", "a number is too large, such as the learning rate"),
    (r"process in the process pool was terminated", "a worker process was killed, most often because memory ran out"),
)


def explain(error: BaseException) -> str | None:
    """One line for what a user can repair; None for a defect, which keeps its traceback."""
    if isinstance(error, ClipkitError):
        return one_line(error)
    if isinstance(error, ValueError):
        return _of_a_value(error)
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, RuntimeError) and not isinstance(error, (RecursionError, NotImplementedError)):
        return _of_torch(error)
    if isinstance(error, _OF_PARSERS) and (file := file_in_hand(error)):
        return (
            f"{_short(file)}: cannot be used ({type(error).__name__}: {one_line(error, 160)}); if the file is as it "
            "should be, this is a defect of clipkit: CLIPKIT_DEBUG=1 shows where"
        )
    return None


def file_in_hand(error: BaseException) -> str | None:
    """The file that was read or written where an error was raised: what a local variable such as `path` holds, in the
    innermost functions of clipkit or a plugin; commands, which hold their arguments all the time, do not count."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = 0
    for frame in reversed(frames):
        module = frame.f_globals.get("__name__", "")
        if module.startswith(("clipkit.commands", "clipkit.cli")):
            break
        own += module.startswith("clipkit")
        if own > 3:
            break
        for name in _FILE_NAMES:
            value = frame.f_locals.get(name)
            if isinstance(value, (str, os.PathLike)) and str(value) and _exists(value):
                return str(value)
    return None


def was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: what runs as it comes may turn it into one of its own (mmengine, formatting a
    config, into a SyntaxError)."""
    return any(isinstance(link, KeyboardInterrupt) for link in _chain(error))


def _of_a_value(error: ValueError) -> str:
    """clipkit's own say all; a library's, such as json's, do not know the file."""
    line = one_line(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or str(frames[-1].f_globals.get("__name__", "")).startswith("clipkit"):
        return line
    file = file_in_hand(error)
    return line if file is None or Path(file).name in line else f"{_short(file)}: cannot be used ({line})"


def _of_the_system(error: OSError) -> str:
    if error.errno is None or error.strerror is None:  # words of its own, or from a loader's worker
        return one_line(error)
    repair = _REPAIRS.get(error.errno)
    names = [_short(str(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, os.PathLike))]
    if not names and (file := file_in_hand(error)):
        names = [_short(file)]
    what = one_line(error.strerror) + (f"; {repair}" if repair else "")
    return f"{' -> '.join(names) or 'standard output, or a file that the system does not name'}: {what}"


def _of_torch(error: RuntimeError) -> str | None:
    if str(error).startswith("Caught Unicode"):  # a ValueError in a worker, of a kind that torch cannot build again
        return one_line(error)
    for pattern, line in _OF_TORCH:
        if found := re.search(pattern, str(error)):
            return line.format(*(text.strip() for text in found.groups()))
    system = next((link for link in _chain(error) if isinstance(link, OSError)), None)
    return None if system is None else _of_the_system(system)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _exists(path: str | os.PathLike) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _short(name: str) -> str:
    return name if len(name) <= 160 else f"{name[:100]}…{name[-40:]}"
