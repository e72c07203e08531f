"""Reading files of tensors from strangers: nothing in them is ever run, and every bad one ends in one line."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from clipkit.errors import one_line

__all__ = ["FileKind", "file_kind", "load_tensors", "read_json"]

FileKind = Literal["safetensors", "torch", "torchscript", "npz"]

# Where a file starts tells what it is; its suffix only tells what somebody called it.
_STARTS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: run `git lfs pull`",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"\x89HDF": "an HDF5 (Keras) file, which is not supported",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"TFL3": "a TensorFlow Lite file, which is not supported",
}
_MAX_SAFETENSORS_HEADER = 100_000_000


def file_kind(path: str | Path) -> FileKind:
    """What a file of tensors is, by its content.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one line that says what the file is instead.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, and a file of weights is needed")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path}: is empty: copy or download it again")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head[:1] == b"\x80":
        return "torch"  # a bare pickle, the format of torch.save before 1.6
    for start, what in _STARTS.items():
        if head.startswith(start):
            raise ValueError(f"{path}: is {what}")
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header <= _MAX_SAFETENSORS_HEADER:
        return "safetensors"
    if _is_text(head):
        web = head.lstrip()[:1] == b"<"
        what = "a web page (a failed download?)" if web else "a text file"
        raise ValueError(f"{path}: is {what}, not weights; give a .safetensors, .pt, .pth or .bin file")
    raise ValueError(f"{path}: is no known format of weights (.safetensors, .pt, .pth, .bin, .npz), or is damaged")


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head[:-3].decode("utf-8")  # a character cut at the end of what was read is no reason to say "binary"
    except UnicodeDecodeError:
        return False
    return True


def _zip_kind(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{path}: is truncated or damaged (its list of contents is unreadable): copy it again"
        ) from error
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    inside = {name.split("/", 1)[1] for name in names if "/" in name}
    if "data.pkl" not in inside:
        raise ValueError(f"{path}: is a zip archive without tensors of PyTorch: unpack it, or give the weights in it")
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        return "torchscript"
    return "torch"


def load_tensors(path: str | Path, *, allowed: Sequence[Any] = ()) -> dict[str, Any]:
    """Reads a `.safetensors` file, or what `torch.save` wrote, onto the CPU, without running anything of it.

    Args:
        path: the file.
        allowed: classes beyond tensors and plain Python values that the caller knows to be harmless and expects
            (torch's `safe_globals`). Everything else is refused.

    Returns:
        The dict that the file holds, e.g. name -> tensor, or with entries such as `state_dict` and `optimizer`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one line that names the file, what is wrong with it and what to do.
    """
    path = Path(path)
    kind = file_kind(path)
    if kind == "safetensors":
        return dict(_load_safetensors(path))
    if kind == "torchscript":
        raise ValueError(f"{path}: is a TorchScript archive (a program), and a file of tensors is needed")
    if kind == "npz":
        raise ValueError(f"{path}: is a NumPy archive, and a PyTorch or safetensors file is needed")
    with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's advice on pickle protocols; the error below says what to do
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{path}: {_why_torch_refused(str(error))}") from error
    if not isinstance(content, dict):
        what = type(content).__name__
        raise ValueError(f"{path}: holds a {what}, and a dict of tensors is needed: save the model's state_dict()")
    return content


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: is a truncated or damaged safetensors file ({one_line(error, 120)}): copy it again"
        ) from error


def _why_torch_refused(message: str) -> str:
    """What torch.load's long message comes down to."""
    wanted = re.search(r"GLOBAL ([\w.]+)", message)
    if wanted or "Weights only load failed" in message:
        name = wanted[1] if wanted else ""
        if name.startswith(("mmengine", "mmcv")):
            return (
                f"is an mmengine checkpoint (it holds `{name}`), not CLIP weights: load it with "
                "clipkit.engine, or export its state_dict"
            )
        if name:
            return (
                f"asks Python for `{name}` while it is read; refused, and nothing was run. "
                "Weights need only tensors: get a .safetensors file, or save the state_dict() alone"
            )
        return (
            "is a pickle of other things than tensors, or damaged; refused, and nothing was run: "
            "get a .safetensors file, or save the state_dict() with torch.save"
        )
    return f"is truncated or damaged ({one_line(message, 120)}): copy it again"


def read_json(path: str | Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one line, where it is not JSON or not an object.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: is not valid JSON ({one_line(error, 120)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, and a JSON object is needed")
    return content
