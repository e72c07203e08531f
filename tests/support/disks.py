"""Disks that are full or may not be written: real ones, where this machine lets one mount them, and pretended ones."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

_refused: tuple[str, int] | None = None
_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _listen(event, args):
    if _refused is None or event not in ("open", "os.mkdir", "os.rename", "os.remove"):
        return
    folder, number = _refused
    path = args[0]
    changes = event != "open" or args[2] & _WRITE
    if changes and isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(folder):
        raise OSError(number, os.strerror(number), str(path))


sys.addaudithook(_listen)  # Python knows no way to take one back


@contextmanager
def pretended(folder, number):
    """Makes the system refuse, with this error, whatever this process would write under `folder`."""
    global _refused
    _refused = (os.path.abspath(folder), number)
    try:
        yield
    finally:
        _refused = None


@contextmanager
def mounted(folder, options):
    """A tmpfs at `folder`, a new folder; yields what mounts it again with other options. Skips where that is not
    allowed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting needs root on Linux; the pretended disks are tried without")
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"this machine does not allow mounting: {done.stderr.decode().strip()}")
    try:
        yield lambda more: subprocess.run(["mount", "-o", f"remount,{more}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # logs and maps of it are still open
        folder.rmdir()
