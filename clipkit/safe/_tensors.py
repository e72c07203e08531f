"""Files of tensors: what they are, and their contents."""

from __future__ import annotations

import io
import mmap
import pickle
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from clipkit.errors import one_line
from clipkit.safe._budget import OverBudget, require
from clipkit.safe._pickles import Rehearsal, check_pickle
from clipkit.safe._zips import check_crcs, check_zip

if TYPE_CHECKING:
    import torch

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
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header <= _MAX_SAFETENSORS_HEADER:  # before a pickle: its length may begin as one does
        return "safetensors"
    if head[:1] == b"\x80":
        return "torch"  # a bare pickle, the format of torch.save before 1.6
    for start, what in _STARTS.items():
        if head.startswith(start):
            raise ValueError(f"{path}: is {what}")
    if is_text(path):
        web = head.lstrip()[:1] == b"<"
        what = "a web page (a failed download?)" if web else "a text file"
        raise ValueError(f"{path}: is {what}, not weights; give a .safetensors, .pt, .pth or .bin file")
    raise ValueError(f"{path}: is no known format of weights (.safetensors, .pt, .pth, .bin, .npz), or is damaged")


def is_text(path: str | Path) -> bool:
    """Whether a file begins as text does: no zeros, and UTF-8."""
    with Path(path).open("rb") as file:
        head = file.read(512)
    if b"\x00" in head:
        return False
    try:
        head[:-3].decode("utf-8")  # a character cut at the end of what was read is no reason to say "binary"
    except UnicodeDecodeError:
        return False
    return True


def _zip_kind(path: Path) -> FileKind:
    names = list(check_zip(path))
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
    import torch  # here: what reads pictures and tables does without

    with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's advice on pickle protocols; the error below says what to do
        try:
            check_torch(path, allowed)
            check_crcs(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
        except OverBudget:
            raise
        except Exception as error:
            raise ValueError(f"{path}: {_why_torch_refused(str(error))}") from error
    if not isinstance(content, dict):
        what = type(content).__name__
        raise ValueError(f"{path}: holds a {what}, and a dict of tensors is needed: save the model's state_dict()")
    return content


def check_torch(path: str | Path, allowed: Sequence[Any] = ()) -> None:
    """Looks at what `torch.save` wrote before `torch.load` builds it: what tensors claim must be in the file, and what
    they take must be within the file's allowance.

    Args:
        path: the file, a zip archive or the format before 1.6.
        allowed: classes, or pairs of a class and its name, as torch's `safe_globals` takes them.

    Raises:
        OverBudget: one line that names the file.
        UnpicklingError: sizes that are not in the file; a name (`GLOBAL module.name`) that no tensor needs.
        ValueError: an archive that is damaged.
    """
    path = Path(path)
    size = path.stat().st_size
    names = [_name_of(item) for item in allowed]
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"  # as torch decides
    if is_zip:
        members = check_zip(path)
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise pickle.UnpicklingError(f"it has {len(pickles)} files data.pkl")
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(pickles[0])
            if not any(member.CRC for member in archive.infolist()):
                info.CRC = None  # type: ignore[assignment]  # torch wrote zeros: there is nothing to compare
            played = _rehearse(io.BytesIO(archive.read(info)), path, size, names)
        folder = pickles[0].removesuffix("data.pkl") + "data/"
        for key, claimed in played.storages.items():
            held = members[folder + key].file_size if folder + key in members else 0
            if claimed > held:
                raise pickle.UnpicklingError(f"tensor data/{key} says it has {claimed} bytes and has {held}")
    else:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            # A number that says torch, the protocol, the machine, and then the object; its storages follow.
            for _ in range(4):
                played = _rehearse(whole, path, size, names)  # type: ignore[arg-type]
        if sum(played.storages.values()) > size:
            raise pickle.UnpicklingError("its tensors say that they are larger than the file")
    require(path, size, played.views, "its tensors")


def _rehearse(file: IO[bytes], path: Path, size: int, allowed: Sequence[str]) -> Rehearsal:
    start = file.tell()
    check_pickle(file, path, size)
    file.seek(start)
    played = Rehearsal(file, allowed)
    played.load()
    return played


def _name_of(item: Any) -> str:
    if isinstance(item, tuple):
        return str(item[1])
    return f"{item.__module__}.{getattr(item, '__qualname__', item.__name__)}"


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
