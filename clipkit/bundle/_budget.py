"""What a config may make of memory before the weights are in it: a width of a million is refused at the first tensor,
not after the machine has none left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clipkit.safe import require

_MODULE = 16 << 10  # bytes that a tensor counts as at least: modules without number cost memory too


class TensorBudget(TorchDispatchMode):
    """`with TensorBudget(path, size):` counts the tensors that are made by their size.

    Args:
        path: to name the file.
        size: bytes of weights that explain the model; see `clipkit.safe.require`.

    Raises:
        OverBudget: a tensor, before it is made, with which all of them take more than `size` allows.
    """

    def __init__(self, path: object, size: int) -> None:
        super().__init__()
        self.path, self.size, self.made = path, size, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Sizes what is made, then lets it be made."""
        count = _elements(func, args, kwargs or {})
        if count is not None:
            kind = (kwargs or {}).get("dtype") or torch.get_default_dtype()
            self.made += max(_MODULE, count * kind.itemsize)
            require(self.path, self.size, self.made, "the model that its config describes", "its weights have")
        return func(*args, **(kwargs or {}))


def _elements(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int | None:
    """How many elements a call makes out of numbers; None where it makes them of tensors."""
    name = func.overloadpacket.__name__
    if name not in _SIZED:
        return None
    given: dict[str, Any] = dict(zip((argument.name for argument in func._schema.arguments), args)) | dict(kwargs)
    if name == "repeat":
        return args[0].numel() * math.prod(given["repeats"])
    if name == "arange":
        return math.ceil(max(0, (given["end"] - given.get("start", 0)) / (given.get("step") or 1)))
    if name == "linspace":
        return int(given["steps"])
    if name == "eye":
        return given["n"] * given.get("m", given["n"])
    return math.prod(given["size"])


_FACTORIES = ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "empty_strided")
_NEW = ("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided")
_SIZED = frozenset((*_FACTORIES, *_NEW, "repeat", "arange", "linspace", "eye"))
