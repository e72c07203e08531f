"""Pickles, looked at before they are opened: what they would build, without building it.

A pickle is a program. Names are one danger, and `find_class` answers for them; memory is the other: an index of the
memo that makes the C reader clear gigabytes, a tensor of four bytes that claims a billion, an object of no bytes that
makes itself large.
"""

from __future__ import annotations

import math
import pickle
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import IO, Any

from clipkit.errors import ClipkitError
from clipkit.safe._budget import require

_OPCODE = 64  # bytes of memory that the smallest object takes, about
_CONTAINER = 216  # an empty set
_MAKE_CONTAINERS = {"EMPTY_SET", "EMPTY_DICT", "EMPTY_LIST", "DICT", "LIST", "FROZENSET"}
# Storages of torch by the bytes of an element.
STORAGES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "UntypedStorage": 1,
    "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip


def check_pickle(file: IO[bytes], path: object, size: int) -> None:
    """Reads one pickle's operations from where the file stands to its end, and builds nothing.

    Args:
        file: what it is read from.
        path: to name it.
        size: bytes of all of it.

    Raises:
        OverBudget: its objects would take more memory than the file's allowance.
        UnpicklingError: no pickle, or one that states sizes beyond its own end.
    """
    count = containers = 0
    try:
        argument: Any
        for operation, argument, _ in pickletools.genops(file):
            count += 1
            containers += operation.name in _MAKE_CONTAINERS
            # Real writers number the memo from 0 upwards: an index is smaller than the number of operations.
            if operation.name in ("PUT", "LONG_BINPUT") and not 0 <= argument <= count + 1:
                raise pickle.UnpicklingError(f"an index of the memo is {argument} after {count} operations")
            if operation.name == "FRAME" and argument > size:
                raise pickle.UnpicklingError("a frame is longer than the file")
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a stranger's bytes can break the parser in any way
        raise pickle.UnpicklingError(f"it is damaged: {str(error)[:80]}") from None
    require(path, size, count * _OPCODE + containers * _CONTAINER)


class _Plain(pickle.Unpickler):
    """Lists, dicts, text and numbers only: whatever a pickle can do beyond that begins with looking up a name."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it wants {module}.{name}")


def load_plain_pickle(path: str | Path) -> Any:
    """A pickle of lists, dicts, text and numbers.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: one line that names the file: more than that in it, damaged, or beyond its allowance.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            check_pickle(file, path, path.stat().st_size)
            file.seek(0)
            return _Plain(file).load()
        except ClipkitError:
            raise
        except Exception as error:  # damaged pickles raise a dozen types
            raise ClipkitError(f"{path}: not a pickle of plain lists and words ({str(error)[:80]})") from None


class Rehearsal(pickle.Unpickler):
    """Plays a pickle of tensors with stand-ins that take no memory, and notes what the real ones would take.

    Attributes:
        storages: bytes of each raw file that tensors lie in, by its key.
        views: bytes of all tensors, each counted as if it were copied out of its storage.
    """

    def __init__(self, file: IO[bytes], allowed: Iterable[str] = ()) -> None:
        super().__init__(file)
        self.storages: dict[str, int] = {}
        self.views = 0
        self._names = {*_INERT, *allowed}

    def find_class(self, module: str, name: str) -> Any:
        # Protocol 2, which torch writes, calls Python's modules by their old names.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        full = f"{module}.{name}"
        if module in ("torch", "torch.storage") and name in STORAGES:
            return _Kind(STORAGES[name])
        if full.removesuffix("_v2").removesuffix("_v3") == "torch._utils._rebuild_tensor":
            return self._tensor
        if full == "collections.OrderedDict":
            return OrderedDict
        if full == "builtins.bytearray":
            return _bytearray
        if name == "_reconstruct" and full in self._names:  # NumPy's
            return _reconstruct
        if module == "torch" and name in _dtypes():
            return _Kind(_dtypes()[name])
        if full in ("torch.Tensor", "torch.nn.parameter.Parameter"):
            return _NeverCalled
        if full in self._names:
            return _Inert
        raise pickle.UnpicklingError(f"GLOBAL {full}")  # torch's own words, which its readers here look for

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("storage", _Kind() as kind, key, _, int(count), *_) if count >= 0:
                self.storages[str(key)] = max(self.storages.get(str(key), 0), count * kind.itemsize)
                return kind
            case ("module", *_):  # torch before 1.6 wrote the source of modules beside them
                return _Inert()
        raise pickle.UnpicklingError("a reference that is not a tensor's storage")

    def _tensor(self, storage: Any, _offset: Any, size: Any, *more: Any) -> Any:
        lengths = tuple(size)
        if not isinstance(storage, _Kind) or not all(isinstance(n, int) and n >= 0 for n in lengths):
            raise pickle.UnpicklingError("a tensor without a storage or a size")
        # The third version lays a dtype over a storage of bytes.
        itemsize = max(part.itemsize for part in (storage, *more) if isinstance(part, _Kind))
        self.views += math.prod(lengths) * itemsize
        return _Inert()


# What torch's own reader allows beside tensors, and that takes no memory of its own; NumPy's are for callers who
# allow them.
_INERT = {
    "builtins.set", "builtins.complex", "collections.Counter", "torch.Size", "torch.device",
    "torch.serialization._get_layout", "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2", "_codecs.encode",
}  # fmt: skip


class _Kind:
    """The type of a storage, the storage, or a dtype: all that counts of them is an element's size."""

    def __init__(self, itemsize: int) -> None:
        self.itemsize = itemsize


class _Inert:
    """Stands for any object: takes everything, keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __hash__(self) -> int:
        return 0

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None:
        """As a list's."""

    def extend(self, values: Any) -> None:
        """As a list's."""

    def add(self, value: Any) -> None:
        """As a set's."""


def _reconstruct(kind: Any, shape: Any, *_: Any) -> _Inert:
    """NumPy makes an array of shape (0,), and of the stated one when its numbers come."""
    if math.prod(shape):
        raise pickle.UnpicklingError("an array that is made before its numbers are read")
    return _Inert()


class _NeverCalled:
    """A class that may be named, and that makes memory of a number when it is called with one."""

    def __new__(cls, *arguments: Any) -> _NeverCalled:
        if arguments:
            raise pickle.UnpicklingError("a tensor that is made of a number")
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None: ...


def _bytearray(*arguments: Any) -> bytes:
    if arguments and isinstance(arguments[0], int):
        raise pickle.UnpicklingError("bytes that are made of a number")
    return b""


@cache
def _dtypes() -> dict[str, int]:
    """Bytes of an element, by the name in torch; layouts have none."""
    import torch

    found = {name: getattr(torch, name) for name in dir(torch)}
    kinds = {n: value.itemsize for n, value in found.items() if isinstance(value, torch.dtype)}
    return kinds | {n: 0 for n, value in found.items() if isinstance(value, torch.layout)}
