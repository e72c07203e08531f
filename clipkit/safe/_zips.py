"""Zip archives whose members may inflate, and NumPy's among them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from clipkit.safe._budget import require

if TYPE_CHECKING:
    import numpy as np


def check_zip(path: str | Path) -> dict[str, zipfile.ZipInfo]:
    """Its members by name, looked at before any is read.

    Raises:
        OverBudget: they would inflate beyond the archive's allowance.
        ValueError: the list of contents is damaged, or names a member twice (two readers could see two files).
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{path}: is truncated or damaged (its list of contents cannot be read): copy it again"
        ) from error
    members = {info.filename: info for info in infos}
    if len(members) != len(infos):
        raise ValueError(f"{path}: is damaged (it lists a member twice): copy it again")
    if any(i.compress_type == zipfile.ZIP_STORED and i.compress_size != i.file_size for i in infos):
        raise ValueError(f"{path}: is damaged (a member has two sizes): copy it again")
    require(path, path.stat().st_size, sum(info.file_size for info in infos))
    return members


def check_crcs(path: str | Path, but: str | None = None) -> None:
    """Reads what an archive holds and compares its CRC-32s, which torch writes and never looks at. Files without pass:
    no archive, as before torch 1.6, and those after `torch.serialization.set_crc32_options(False)`, which are zeros.

    Args:
        but: members whose names have this in them are not read.

    Raises:
        BadZipFile: one differs.
    """
    with Path(path).open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if not any(member.CRC for member in members):
            return
        for member in members:
            if but is None or but not in member.filename:
                with archive.open(member) as stream:
                    while stream.read(1 << 20):  # raises where the CRC differs
                        pass


@contextmanager
def open_npz(path: str | Path) -> Iterator[Any]:
    """NumPy's archive (`numpy.load` without pickles), after a look at what its members and their headers claim.

    Raises:
        OverBudget: see `check_zip`.
        ValueError: damaged; an array claims more than its member holds, or holds Python objects.
    """
    import numpy as np

    members = check_zip(path)
    with zipfile.ZipFile(path) as archive:
        for name, info in members.items():
            with archive.open(info) as file:
                claimed = _claimed(np.lib.format, file) if name.endswith(".npy") else 0
            if claimed > info.file_size:
                raise ValueError(f"{path}: {name} says it has {claimed} bytes and has {info.file_size}: copy it again")
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays


def _claimed(formats: Any, file: IO[bytes]) -> int:
    """Bytes of the array that a header describes; an element counts as one at least."""
    version = formats.read_magic(file)
    read = {(1, 0): formats.read_array_header_1_0, (2, 0): formats.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"its .npy version {version} is not read; save it again with numpy.savez")
    dtype: np.dtype
    shape, _, dtype = read(file)
    return math.prod(shape) * max(1, dtype.itemsize) if not dtype.hasobject else 0
