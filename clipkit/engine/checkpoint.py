"""Checkpoints that a kill cannot spoil and a stranger cannot arm: written aside and renamed, holding only tensors and
plain Python values, and read without unpickling anything else."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import get_torch_safe_globals
from safetensors import safe_open

from clipkit.engine.traps import read_pretrained_by
from clipkit.errors import ClipkitError, one_line
from clipkit.files import writing
from clipkit.safe import check_crcs, check_torch, load_tensors

_DICTS = ("state_dict", "ema_state_dict", "meta", "message_hub", "optimizer")  # parts of a checkpoint, by text
_HISTORY = 10_000  # logged values kept per curve: far more than any smoothing window


class DamagedCheckpoint(ClipkitError):
    """A file that is no checkpoint as clipkit writes them, or no longer: `--resume` goes back to the one before it."""


def save_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike) -> None:
    """Writes `plain(checkpoint)`, each part with its CRC-32. At any moment `path` is absent, the old file, or the new
    one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as partial, open(partial, "wb") as stream:
        torch.save(plain(checkpoint), stream)


def load_checkpoint(path: str | os.PathLike, map_location: Any = "cpu", *, mmap: bool = False) -> dict[str, Any]:
    """Reads a checkpoint: `.safetensors`, or torch's format with `weights_only=True`, its checksums compared.

    Args:
        mmap: leave tensors on disk until used, unchecked; for reading `meta` alone.

    Returns:
        a dict; a bare state dict comes back as `{'state_dict': …}`.

    Raises:
        DamagedCheckpoint: a `ClipkitError`: no such file, not a checkpoint, damaged, or one that holds more than
            tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a checkpoint file" if path.is_dir() else "no such checkpoint file or folder"
        raise DamagedCheckpoint(f"{path}: {what}{_beside(path)}")
    try:
        if path.suffix == ".safetensors":
            loaded = {"state_dict": load_tensors(path), "meta": _bundled_meta(path)}
            if _wrong_part(loaded):
                raise ValueError(f"{path}: its header is not what a bundle's weights say")
            return loaded
        check_torch(path)
        check_crcs(path, but="/data/" if mmap else None)
        loaded = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap or None)
    except ClipkitError as error:
        raise DamagedCheckpoint(str(error)) from error
    except Exception as error:  # torch's reader raises whatever its steps do over bytes that it did not expect
        said = str(error).removeprefix(f"{path}: ")
        raise DamagedCheckpoint(
            f"{path}: {_reason(error) if said == str(error) else f'not a readable checkpoint: {said}'}"
        ) from error
    if not isinstance(loaded, dict):
        raise DamagedCheckpoint(f"{path}: holds a {type(loaded).__name__}, not a checkpoint (a dict of tensors)")
    if "state_dict" not in loaded and not {"meta", "optimizer", "message_hub"} & loaded.keys():
        loaded = {"state_dict": loaded}
    if wrong := _wrong_part(loaded):
        raise DamagedCheckpoint(f'{path}: not a readable checkpoint: its "{wrong}" is not what training writes')
    return loaded


def _bundled_meta(path: Path) -> dict[str, Any]:
    """What the header of a bundle's weights says of its frozen CLIPs."""
    with safe_open(path, framework="pt") as file:
        return {"frozen": json.loads((file.metadata() or {}).get("frozen", "[]"))}


def _wrong_part(loaded: dict[str, Any]) -> str | None:
    for part in _DICTS:
        held = loaded.get(part, None if part == "state_dict" else {})
        if not isinstance(held, dict) or not all(isinstance(key, str) for key in held):
            return part
    meta = loaded.get("meta", {})
    frozen = meta.get("frozen", [])
    wanted = ("path", "name", "weights_hash")
    if not isinstance(frozen, list) or not all(
        isinstance(record, dict) and all(isinstance(record.get(key), str) for key in wanted) for record in frozen
    ):
        return "meta.frozen"
    return None if isinstance(meta.get("dataset_meta"), (dict, type(None))) else "meta.dataset_meta"


def resolve_checkpoint(path: str | os.PathLike) -> Path:
    """A work folder stands for its newest checkpoint, a bundle for its weights; a file for itself, there or not."""
    path = Path(path)
    if (path / "bundle.json").is_file():
        return path / "model.safetensors"
    return next(iter(find_checkpoints(path)), path) if path.is_dir() else path


def given_checkpoint(text: str) -> str | None:
    """What a command line says for a checkpoint: `none` is None."""
    return None if text.lower() == "none" else text


def require_nothing_to_train(model: torch.nn.Module) -> None:
    """Refuses to go on without a checkpoint where that would mean random weights.

    Raises:
        ClipkitError: the model has weights that train.
    """
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if count:
        raise ClipkitError(
            f"{type(model).__name__} has {count:,} weights to train: give a checkpoint; 'none' is for models that "
            "train nothing"
        )


def guard_pretrained() -> None:
    """Makes mmengine read what a config names as pretrained (`init_cfg=dict(type='Pretrained', …)`) by `weights_only`
    alone. Its own reader falls back to full unpickling, which runs whatever the file says."""
    read_pretrained_by(_load_pretrained)


def _load_pretrained(file: Any, map_location: Any = None, weights_only: Any = None) -> Any:
    try:
        # The classes that mmengine's training checkpoints hold beside tensors; they do nothing when they are read.
        known = get_torch_safe_globals()
        with torch.serialization.safe_globals(known):
            if isinstance(file, (str, os.PathLike)):
                check_torch(Path(file), known)
                check_crcs(Path(file))
            return torch.load(file, map_location=map_location, weights_only=True)
    except (ClipkitError, OSError):
        raise
    except Exception as error:
        name = file if isinstance(file, (str, os.PathLike)) else "pretrained weights"
        raise ClipkitError(f"{name}: {_reason(error)}") from error


def find_checkpoints(work_dir: str | os.PathLike) -> list[Path]:
    """Checkpoints of a run to resume from, best first: the one `last_checkpoint` points to, then by iteration, in the
    work folder and where that one lies (the hook's `out_dir`). The pointer may be missing or stale after a kill; the
    files never are half written."""
    folder = Path(work_dir)
    last, pointer = None, folder / "last_checkpoint"
    with contextlib.suppress(OSError):  # unreadable, or a damaged one's name is too long
        if pointer.is_file():
            said = Path(pointer.read_text(encoding="utf-8", errors="replace").strip())
            named = (folder / said.name, said) if said.name else ()
            last = next((file for file in named if file.exists()), None)  # a moved folder's own comes first
    files = [*folder.glob("*.pth"), *(last.parent.glob("*.pth") if last and last.parent != folder else ())]
    numbered = sorted(
        ((int(match[1]), file) for file in files if (match := re.fullmatch(r"\w+?_(\d+)", file.stem))), reverse=True
    )
    found = [file for _, file in numbered if file.stem.startswith(("iter_", "epoch_"))]
    return found if last is None else [last, *(file for file in found if file != last)]


def plain(value: Any) -> Any:
    """The same data in types that `weights_only=True` reads: tensors, numbers, strings, None, and lists, tuples and
    dicts of them. numpy arrays become tensors; anything else becomes its text."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, torch.Tensor):  # Parameter and other subclasses carry code of their own
        return value.detach().cpu().as_subclass(torch.Tensor)
    if isinstance(value, np.generic):  # before float: np.float64 is one
        return value.item()
    for kind in (int, float, str):  # enumerations and other subclasses, whose class would be stored by name
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        items = [(plain(key), plain(item)) for key, item in value.items()]
        return OrderedDict(items) if isinstance(value, OrderedDict) else dict(items)
    if isinstance(value, (list, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return str(value)


def pack_message_hub(hub: MessageHub) -> dict[str, Any]:
    """mmengine's log history as tensors (its own state dict holds objects of its classes)."""
    state = hub.state_dict()
    curves = {}
    for name, buffer in state["log_scalars"].items():
        values, counts = (part[-_HISTORY:].copy() for part in buffer.data)
        curves[name] = {"values": torch.from_numpy(values), "counts": torch.from_numpy(counts)}
    return {"log_scalars": curves, "runtime_info": state["runtime_info"], "resumed_keys": dict(state["resumed_keys"])}


def unpack_message_hub(packed: dict[str, Any]) -> dict[str, Any]:
    """What `MessageHub.load_state_dict` takes; curves that are not clipkit's are dropped."""
    curves = OrderedDict()
    for name, curve in packed.get("log_scalars", {}).items():
        if isinstance(curve, dict) and "values" in curve:
            curves[name] = HistoryBuffer(curve["values"].tolist(), curve["counts"].tolist())
    info = packed.get("runtime_info", {})
    known = {*curves, *info}
    resumed = {key: value for key, value in packed.get("resumed_keys", {}).items() if key in known}
    return {"log_scalars": curves, "runtime_info": info, "resumed_keys": resumed}


def _reason(error: Exception) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if found:
        return (
            f"refused: besides tensors it holds an object of {found[1]}, and reading that could run code; ask its "
            "author for a plain state dict or .safetensors"
        )
    return f"not a readable checkpoint, or cut short ({one_line(error, 120)})"


def _beside(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    names = sorted(file.name for file in folder.glob("*") if file.suffix in (".pth", ".pt", ".safetensors"))
    return f"; there is {', '.join(names[-6:])}" if names else ""
