"""The tensors of a TorchScript archive (OpenAI's `.pt`), read by an allow-list.

`torch.jit.load` would load a program with the weights. This reads the archive as what it also is: a zip file with one
pickle of nested modules and one raw file per tensor. Every class of the program becomes an inert container, and a
pickle that asks for anything but the few names below is refused before it gets it.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from clipkit.errors import one_line
from clipkit.safe import OverBudget, check_pickle, check_zip, require

__all__ = ["read_torchscript"]

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_MAX_DEPTH = 100
_MAX_NODES = 100_000  # modules and tensors; one module that stands in two places counts twice
_MAX_TEXT = 1 << 26
# What an OpenAI model keeps beside its weights, and what a trace makes of the causal mask.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")


class _Refused(Exception):
    """The pickle asked for something that is not on the list."""


class _Container:
    """Stands for any object of the archive's program: it keeps the fields and has no behaviour."""

    def __new__(cls, *_: Any) -> _Container:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.__dict__["fields"] = state if isinstance(state, dict) else {}


class _Unpickler(pickle.Unpickler):
    """Knows tensors, lists, dicts and inert containers; every other name is refused."""

    def __init__(self, data: bytes, read_record: Callable[[str], bytes], claim: Callable[[int], None]) -> None:
        super().__init__(io.BytesIO(data))
        self._read_record = read_record
        self._storages: dict[str, torch.Tensor] = {}
        self._copied = 0
        self._claim = claim

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return type("_Container", (_Container,), {})
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
            ("torch", "device"): lambda *args: str(args),
            ("torch.jit._pickle", "restore_type_tag"): lambda data, *_: data,
            ("torch.jit._pickle", "build_intlist"): lambda data: data,
            ("torch.jit._pickle", "build_doublelist"): lambda data: data,
            ("torch.jit._pickle", "build_boollist"): lambda data: data,
            ("torch.jit._pickle", "build_tensorlist"): lambda data: data,
        }
        if (module, name) not in known:
            raise _Refused(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """A flat tensor over one raw file of the archive."""
        match pid:
            case ("storage", torch.dtype() as dtype, str(key), _, int(count)):
                pass
            case _:
                raise pickle.UnpicklingError("a reference that is not a tensor's storage")
        if key not in self._storages:
            data = self._read_record(f"data/{key}")
            if len(data) < count * dtype.itemsize:
                raise pickle.UnpicklingError(f"tensor data/{key} is shorter than it says")
            empty = torch.empty(0, dtype=dtype)
            self._storages[key] = torch.frombuffer(bytearray(data), dtype=dtype, count=count) if count else empty
        return self._storages[key]

    def _rebuild_tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> torch.Tensor:
        if not isinstance(storage, torch.Tensor):
            raise pickle.UnpicklingError("a tensor without storage")
        # A stride of 0 lets a few bytes claim any size, so a tensor may not be larger than what is stored for it.
        count = math.prod(size)
        if count > storage.numel():
            raise pickle.UnpicklingError(f"a tensor of shape {tuple(size)} over {storage.numel()} stored values")
        view = storage.as_strided(tuple(size), tuple(stride), offset)
        if not view.is_contiguous():  # then the next line copies, and one storage may be named many times
            self._copied += count * storage.element_size()
            self._claim(self._copied)
        return view.contiguous()


def _tensors(node: Any) -> Iterator[tuple[str, torch.Tensor]]:
    waiting = [(node, "", 0)]
    nodes = 0
    while waiting:
        node, prefix, depth = waiting.pop()
        for name, value in node.__dict__.get("fields", {}).items():
            nodes += 1
            if depth > _MAX_DEPTH or nodes > _MAX_NODES:
                raise pickle.UnpicklingError("modules nested without end")
            if isinstance(value, torch.Tensor):
                yield f"{prefix}{name}", value
            elif isinstance(value, _Container):
                waiting.append((value, f"{prefix}{name}.", depth + 1))


def read_torchscript(path: str | Path) -> tuple[dict[str, torch.Tensor], bool]:
    """The tensors of a TorchScript archive, by their dotted module names, and the activation of its program.

    Returns:
        `(state, quick_gelu)`. `quick_gelu` is True (as in all of OpenAI's archives) unless the program's text calls
        `gelu`; the text is searched, never run.

    Raises:
        ValueError: one line that names the file: damaged, a pickle that asks for more than tensors, or more memory than
            the file's allowance (`clipkit.safe.allowance`).
    """
    try:
        entries, size = check_zip(path), os.path.getsize(path)
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise pickle.UnpicklingError(f"{len(pickles)} files data.pkl")
            root = pickles[0].removesuffix("data.pkl")
            order = archive.read(f"{root}byteorder") if f"{root}byteorder" in entries else b"little"
            if order != b"little":
                raise pickle.UnpicklingError("numbers stored big-endian")

            def read_record(name: str) -> bytes:
                info = entries[root + name]
                # PyTorch compresses the program's text but no tensor; a zip bomb does.
                if info.compress_type != zipfile.ZIP_STORED and (name[:5] == "data/" or info.file_size > _MAX_TEXT):
                    raise pickle.UnpicklingError(f"{name} is compressed")
                return archive.read(info)

            data = read_record("data.pkl")
            check_pickle(io.BytesIO(data), path, size)
            top = _Unpickler(data, read_record, partial(require, path, size, what="its tensors")).load()
            if not isinstance(top, _Container):
                raise pickle.UnpicklingError("no module in it")
            state = dict(_tensors(top))
            plain_gelu = any(
                b"torch.gelu(" in read_record(name.removeprefix(root))
                for name in entries
                if name.startswith(f"{root}code/") and name.endswith(".py")
            )
    except _Refused as error:
        raise ValueError(
            f"{path}: asks Python for `{error}` while it is read; refused, and nothing was run. "
            "OpenAI's archives hold only tensors: get the file from its source again"
        ) from error
    except OverBudget:
        raise
    except Exception as error:  # a stranger's bytes can break the unpickler in any way; all mean the same to the user
        reason = one_line(error, 120)
        raise ValueError(f"{path}: is a truncated or damaged TorchScript archive ({reason}): copy it again") from error
    weights = {k: v for k, v in state.items() if k not in _NOT_WEIGHTS and not k.endswith("attn_mask")}
    return weights, not plain_gelu
