"""Names of a file's records in an index: where the file lay, and its state then."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def record_id(file: Path) -> str:
    """A file that changes has another id; its size and time tell, so that gigabytes need not be read again."""
    state = file.stat()
    return f"{os.path.abspath(file)}@{state.st_size}:{state.st_mtime_ns}"


def path_of(identifier: str) -> str:
    """The file that a record is of."""
    return identifier.rpartition("@")[0]


def current_record(path: str, records: Sequence[str]) -> str:
    """Of a file's records that of its state now, else the last."""
    try:
        now = record_id(Path(path))
    except OSError:
        return records[-1]
    return next((name for name in records if name.rstrip("~") == now), records[-1])
