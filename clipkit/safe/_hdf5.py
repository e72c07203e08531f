"""HDF5 files from strangers (extras `points`, `depth`): arrays of plain numbers that lie in the
file itself, read in pieces."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from clipkit.errors import ClipkitError, one_line
from clipkit.safe._budget import require

_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3  # filters that HDF5 itself has; for another one it would load a library
_ERRORS = (OSError, ValueError, KeyError, RuntimeError, TypeError, OverflowError, MemoryError)
Result = TypeVar("Result")


def read_hdf5(path: str | Path, use: Callable[[Hdf5Arrays], Result]) -> Result:
    """Opens a file, gives its arrays to `use`, and closes it; returns what `use` returns.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: h5py is not installed, or the file is damaged or holds what is not read.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise ClipkitError(f'{path}: HDF5 files need the package h5py: pip install -e ".[points]"') from None
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            return use(Hdf5Arrays(path, file))
    except ClipkitError:
        raise
    except _ERRORS as error:
        raise ClipkitError(f"{path}: is no readable HDF5 file ({one_line(error, 120)})") from None


class Hdf5Arrays:
    """The arrays of an open file by their names, each of which must lie in the file itself."""

    def __init__(self, path: str | Path, file: Any) -> None:
        self._path, self._file = path, file

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the array `name`.

        Raises:
            ClipkitError: there is no such array, or it is not read: links to other files, objects, foreign filters.
        """
        return tuple(self._array(name).shape)

    def read(self, name: str, index: int | None = None) -> np.ndarray:
        """The array `name`, or its part `index` along its first side.

        Raises:
            ClipkitError: as `shape`; it takes more memory than the file explains.
        """
        array = self._array(name)
        wanted = array.shape if index is None else array.shape[1:]
        chunk = math.prod(array.chunks or ())  # is inflated whole
        needed = max(math.prod(wanted), chunk) * array.dtype.itemsize
        require(self._path, os.path.getsize(self._path), needed, f'its "{name}"')
        return np.asarray(array[() if index is None else index])

    def _array(self, name: str) -> Any:
        import h5py

        if not isinstance(self._file.get(name, getlink=True), h5py.HardLink):
            raise ClipkitError(f'{self._path}: has no array "{name}" of its own')
        array = self._file[name]
        if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "iuf":
            raise ClipkitError(f'{self._path}: its "{name}" is no array of numbers')
        made = array.id.get_create_plist()
        filters = {made.get_filter(i)[0] for i in range(made.get_nfilters())}
        if array.is_virtual or array.external or filters - {_DEFLATE, _SHUFFLE, _CHECKSUM}:
            raise ClipkitError(f'{self._path}: its "{name}" lies in other files, or is packed in an unknown way')
        return array
