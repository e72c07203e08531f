"""Numeric arrays of an HDF5 file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from clipkit.errors import ClipkitError, one_line
from clipkit.safe import require


def read_hdf5(path: str | Path, *names: str) -> dict[str, np.ndarray]:
    """Arrays of numbers by name, after a look at what they claim. Links to other files and what would need a plugin of
    HDF5's are not followed.

    Raises:
        FileNotFoundError: no such file.
        OverBudget: they would take more memory than the file's size allows.
        ClipkitError: h5py is not installed; no HDF5 file; without such an array, or one of other things than numbers.
    """
    try:
        import h5py
    except ImportError:
        raise ClipkitError(f'{path}: is read by h5py, which is not installed: pip install -e ".[points]"') from None
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not Path(path).is_file():
        raise ClipkitError(f"{path}: is no plain file")
    try:
        with h5py.File(path, "r") as file:
            found = {}
            for name in names:
                inside = isinstance(file.get(name, getlink=True), h5py.HardLink)
                array = file.get(name) if inside else None
                if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual:
                    raise ClipkitError(f'{path}: has no array "{name}" in it')
                if array.dtype.kind not in "fiu" or array.shape is None:
                    raise ClipkitError(f'{path}: its "{name}" holds no numbers')
                require(path, Path(path).stat().st_size, math.prod(array.shape) * array.dtype.itemsize)
                found[name] = array[()]
            return found
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ClipkitError(
            f"{path}: is no HDF5 file, or a damaged one ({one_line(error, 120)}): copy it again"
        ) from None
