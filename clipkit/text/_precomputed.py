"""Embeddings that somebody else made: .npy, .npz or .safetensors, with their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipkit.errors import ClipkitError, one_line
from clipkit.files import write_bytes
from clipkit.safe import open_npz
from clipkit.text._embeddings import TextEmbeddings
from clipkit.text._label_file import read_label_file


def load_embeddings(path: str | Path, names_path: str | Path | None = None) -> TextEmbeddings:
    """Reads an `(N, D)` matrix of any float type and its `N` names; rows are normalised, their order stays.

    Args:
        path: `.npy`; `.npz` or `.safetensors` with one 2-d array, or several of which one is called 'embeddings'.
        names_path: `.json` (a list, or an object with the list under 'names') or `.txt` (one name a line). Default: the
            names inside the file (`.npz`: array 'names'; `.safetensors`: metadata 'names', a JSON list), else the file
            beside it with the ending .json or .txt.

    Returns:
        `TextEmbeddings`; its `info` holds the other fields of the JSON. Nothing is unpickled.

    Raises:
        FileNotFoundError: if the file or its names are missing.
        ValueError: for anything else that is wrong, in one line that names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of embeddings")
    readers = {".npy": _read_npy, ".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise ValueError(f"{path}: ends in {path.suffix!r}; embeddings are read from .npy, .npz or .safetensors")
    try:
        array, names = readers[path.suffix](path)
    except ClipkitError:
        raise
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(_unreadable(path, error)) from None
    except Exception as error:  # numpy, zipfile and safetensors raise a dozen types on damaged files
        raise ValueError(_unreadable(path, error)) from None

    info: dict[str, Any] = {}
    if names_path is not None or names is None:
        names, info = _read_names(path, names_path)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{path}: has shape {array.shape}, expected (N, D)")
    if len(names) != len(array):
        hint = "; it looks transposed" if len(names) == array.shape[1] else ""
        raise ValueError(f"{path}: has {len(array)} rows for {len(names)} names{hint}")
    matrix = torch.from_numpy(np.array(array, dtype=np.float32))
    length = matrix.norm(dim=1)
    bad = torch.nonzero(~(torch.isfinite(length) & (length > 0)))
    if len(bad):
        row = int(bad[0])
        raise ValueError(f"{path}: row {row} ({names[row]!r}) is zero or not finite")
    return TextEmbeddings(names=tuple(names), matrix=matrix / length[:, None], info=info)


def save_embeddings(embeddings: TextEmbeddings, path: str | Path) -> None:
    """Writes one row a class as `.safetensors` (float32, names in the metadata), for `load_embeddings`.

    The file is whole or absent. It holds rows and names, no background policy: give that to whoever loads it.

    Raises:
        ValueError: if a class has several rows, background has any, or the ending is another.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: embeddings are written as .safetensors")
    if len(embeddings.matrix) != len(embeddings.names):
        raise ValueError(f"{path}: {len(embeddings.matrix)} rows for {len(embeddings.names)} names; use reduce='mean'")
    names = json.dumps(list(embeddings.names), ensure_ascii=False)
    write_bytes(path, save({"embeddings": embeddings.matrix.contiguous().cpu()}, metadata={"names": names}))


def _unreadable(path: Path, error: BaseException) -> str:
    reason = one_line(error)
    if any(word in reason for word in ("allow_pickle", "Object arrays", "Python objects")):
        reason = "it holds pickled Python objects, which are never loaded; save it as a float array"
    return f"{path}: cannot be read as embeddings: {reason}"


def _is_float(dtype: np.dtype) -> bool:
    return np.issubdtype(dtype, np.floating)


def _read_npy(path: Path) -> tuple[np.ndarray, None]:
    # Mapped, so that a header that lies about the size is an error and not an allocation.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or not _is_float(array.dtype):
        raise ValueError(f"{path}: holds {getattr(array, 'dtype', 'no array')}, expected floats")
    return array, None


def _read_npz(path: Path) -> tuple[np.ndarray, list[str] | None]:
    with open_npz(path) as archive:
        names = [str(name) for name in archive["names"]] if "names" in archive.files else None
        fields = [field for field in archive.files if field != "names"]
        array = archive[_choose(path, fields)]
    if not _is_float(array.dtype):
        raise ValueError(f"{path}: holds {array.dtype}, expected floats")
    return array, names


def _read_safetensors(path: Path) -> tuple[np.ndarray, list[str] | None]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as archive:  # "pt", since numpy has no bfloat16
        tensor = archive.get_tensor(_choose(path, list(archive.keys())))
        text = (archive.metadata() or {}).get("names")
    if not tensor.is_floating_point():
        raise ValueError(f"{path}: holds {tensor.dtype}, expected floats")
    return tensor.float().numpy(), None if text is None else _name_list(path, json.loads(text))


def _choose(path: Path, fields: list[str]) -> str:
    if "embeddings" in fields:
        return "embeddings"
    if len(fields) == 1:
        return fields[0]
    raise ValueError(f"{path}: holds {fields or 'nothing'}; call the matrix 'embeddings'")


def _read_names(path: Path, names_path: str | Path | None) -> tuple[list[str], dict[str, Any]]:
    if names_path is None:
        beside = [path.with_suffix(ending) for ending in (".json", ".txt")]
        names_path = next((p for p in beside if p.is_file()), None)
        if names_path is None:
            raise FileNotFoundError(f"{path}: has no names; put {beside[0].name} or {beside[1].name} beside it")
    names_path = Path(names_path)
    if names_path.suffix != ".json":
        return [words[0] for words in read_label_file(names_path, unique=False)], {}
    try:
        content = json.loads(names_path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{names_path}: no such file of names") from None
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{names_path}: is not JSON: {error}") from None
    if isinstance(content, dict):
        return _name_list(names_path, content.get("names")), {k: v for k, v in content.items() if k != "names"}
    return _name_list(names_path, content), {}


def _name_list(path: Path, value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    raise ValueError(f"{path}: expected a list of names, or an object with that list under 'names'")
