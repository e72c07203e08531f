"""One process at a time in the files of an index."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipkit.store import StoreError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits until no other process holds `folder/.lock`; it ends with its process. An index that may only be read is
    not locked, for nobody writes there.

    Raises:
        StoreError: the file cannot be opened, as where it is a link.
    """
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"{folder / '.lock'}: cannot be opened ({error.strerror}); delete it") from None
        yield
        return
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
