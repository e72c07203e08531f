"""Reader processes, seen from the process that wants frames.

Decoders hang in native code with Python's lock held, crash, and leak; only another process can be timed out and
killed. Data-loader workers are daemonic and may not start multiprocessing children, so it is a plain subprocess. One
serves many videos. Frames come through its pipe, straight into the array that the caller gets.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import clipkit

_VIDEOS = 256  # that one process reads; a leak ends with it
_PIPE_BYTES = 1 << 20  # as much as Linux allows without privileges
_START = 60.0  # seconds beyond the timeout that imports may take
_CODE = "import sys; sys.path[0:1] = []; sys.path.append({root!r}); from clipkit.data._video_child import main; main()"
_F_SETPIPE_SZ = 1031
_HAS_POLL = hasattr(select, "poll") and hasattr(os, "readv")


class ReaderFailed(Exception):
    """A reader that is lost: it hung or died. Ends a line that begins with the video's name."""


class Refused(Exception):
    """What the reader says is wrong with the video; it is fit for the next. Ends such a line too."""


class _Polled:
    """Waits for a pipe's bytes as POSIX does."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.poll = descriptor, select.poll()
        self.poll.register(descriptor, select.POLLIN)

    def read_into(self, view: memoryview, seconds: float) -> int | None:
        """How many bytes came, 0 at the end, None if none came in time."""
        return os.readv(self.descriptor, [view]) if self.poll.poll(seconds * 1000) else None

    def close(self) -> None:
        """Before the descriptor is closed."""
        self.poll.unregister(self.descriptor)


class _Threaded:
    """The same where pipes cannot be polled, as on Windows: a thread waits in `read`, which copies once more."""

    def __init__(self, descriptor: int) -> None:
        self.come: queue.Queue[bytes] = queue.Queue(8)
        self.rest = memoryview(b"")
        self.thread = threading.Thread(target=self._pump, args=(descriptor,), daemon=True)
        self.thread.start()

    def _pump(self, descriptor: int) -> None:
        data = b"more"
        while data:
            data = os.read(descriptor, _PIPE_BYTES)
            self.come.put(data)

    def read_into(self, view: memoryview, seconds: float) -> int | None:
        """See `_Polled.read_into`."""
        if not len(self.rest):
            try:
                self.rest = memoryview(self.come.get(timeout=seconds))
            except queue.Empty:
                return None
        count = min(len(view), len(self.rest))
        view[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count

    def close(self) -> None:
        """See `_Polled.close`; the process is dead or told to end, so its pipe has an end."""
        while self.thread.is_alive():
            with suppress(queue.Empty):
                self.come.get(timeout=0.05)


class _Reader:
    """One subprocess."""

    def __init__(self) -> None:
        root = str(Path(clipkit.__file__).resolve().parents[1])
        debug = os.environ.get("CLIPKIT_DEBUG", "") not in ("", "0")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CODE.format(root=root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if debug else subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout
        self.pipe = (_Polled if _HAS_POLL else _Threaded)(self.output.fileno())
        self.videos = 0
        self.ready: set[str] = set()
        self._widen()
        _all.add(self)

    def ask(self, job: dict[str, Any]) -> None:
        """Sends a job."""
        self.timeout = self.limit = job["timeout"]
        if job["backend"] not in self.ready:  # its imports come first
            self.timeout += _START
        self.ready.add(job["backend"])
        self.videos += 1
        with suppress(BrokenPipeError):  # its end is seen where its answer is read
            self.input.write(json.dumps(job).encode() + b"\n")

    def message(self) -> dict[str, Any] | None:
        """The next message; None where a frame follows.

        Raises:
            Refused: the child says what is wrong with the video.
            ReaderFailed: it is gone, or takes too long.
        """
        while length := int.from_bytes(self._exactly(bytearray(4)), "little"):
            message = json.loads(self._exactly(bytearray(length)))
            if "error" in message:
                raise Refused(message["error"])
            if "alive" not in message:
                return message
        return None

    def fill(self, array: np.ndarray) -> None:
        """Reads a frame into a contiguous array."""
        self._exactly(array.data.cast("B"))

    def kill(self) -> None:
        """At once, whatever it is doing."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """Lets an idle one end."""
        self.input.close()
        self.pipe.close()
        self.output.close()
        self.process.wait()
        _all.discard(self)

    def forget(self) -> None:
        """In a fork: the process is the parent's. Holding its pipe would keep it alive after the parent's end."""
        self.input.close()
        self.output.close()
        self.process.returncode = 0  # not ours to wait for

    def _exactly(self, buffer: Any) -> Any:
        view, deadline = memoryview(buffer), time.monotonic() + self.timeout
        while len(view):
            got = self.pipe.read_into(view, max(0.0, deadline - time.monotonic()))
            if got is None:
                raise ReaderFailed(f"gave no frame within {self.limit:g} s")
            if not got:
                raise ReaderFailed(self._end())
            view = view[got:]
        self.timeout = self.limit
        return buffer

    def _end(self) -> str:
        code = self.process.wait()
        if hasattr(signal, "SIGALRM") and code == -signal.SIGALRM:
            return f"gave no frame within {self.limit:g} s"
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"ended the process that read it ({how}; CLIPKIT_DEBUG=1 shows its output)"

    def _widen(self) -> None:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.fcntl(self.output.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)


_all: weakref.WeakSet[_Reader] = weakref.WeakSet()
_idle: list[_Reader] = []


@contextmanager
def borrow() -> Iterator[_Reader]:
    """An idle reader of this process, or a new one. One that is lost, or was not read to the end, is killed."""
    reader = None
    while reader is None:
        try:
            reader = _idle.pop()  # atomic: threads may borrow side by side
        except IndexError:
            reader = _Reader()
        if reader.process.poll() is not None:
            reader.close()
            reader = None
    is_fit = False
    try:
        yield reader
        is_fit = True
    except Refused:
        is_fit = True
        raise
    finally:
        if not is_fit:
            reader.kill()
        elif reader.videos < _VIDEOS:
            _idle.append(reader)
        else:
            reader.close()


def _forget_all() -> None:
    _idle.clear()
    for reader in list(_all):
        reader.forget()
    _all.clear()


def _close_all() -> None:
    while _idle:
        _idle.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
