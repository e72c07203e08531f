"""The rows of an index as float32 matrices on disk, made from the records of its files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.search.rows import Stacked
from clipkit.store import Store, StoreError

FORMAT = 1
CHUNK = 1 << 20  # rows of a matrix; a file is not cut
COLUMNS = ("frame", "start", "end")
Matrix = np.ndarray | Stacked


def open_matrix(
    store: Store, ids: Sequence[str], counts: Sequence[int], digest: str, place: Path | None
) -> tuple[Matrix, dict[str, np.ndarray]]:
    """The rows of all files `(N, D)`, of unit length and memory-mapped, and their `COLUMNS`, `(N,)` each.

    Args:
        store, ids, counts: the records, which of them, and how many rows each has.
        digest: what tells that these are meant.
        place: the folder that has or will have the matrices; None keeps them in memory, where nothing can be written.

    Raises:
        StoreError: a record is none of an index, or damaged.
    """
    chunks = _chunks(counts)
    if place is None:
        records: list[Any] = [_join(store, ids[begin:end]) for begin, end in chunks.values()]
    else:
        alone = None if len(chunks) == 1 else 1  # several are no shard together
        key = {"kind": "flat", "format": FORMAT, "files": digest}
        flat = Store(place, key, shard_size=alone, batch_size=alone)
        flat.build(chunks, lambda names: [_join(store, ids[slice(*chunks[name])]) for name in names], progress=False)
        records = [_checked(flat[name], place) for name in chunks]
    parts = [record["embeddings"] for record in records]
    columns = {name: np.concatenate([record[name] for record in records]) for name in COLUMNS}
    return parts[0] if len(parts) == 1 else Stacked(parts), columns


def ending(counts: Sequence[int]) -> str:
    """Of the name of a folder with several matrices."""
    return "" if len(chunks := _chunks(counts)) == 1 else f"-{len(chunks)}"


def _join(store: Store, ids: Sequence[str]) -> dict[str, np.ndarray]:
    shapes = {_checked(store[name], store.folder)["embeddings"].shape[1] for name in ids}
    if len(shapes) > 1:
        raise StoreError(f"{store.folder}: its records differ in width; make the index again")
    columns = {name: store.read(ids, name)[0] for name in ("embeddings", *COLUMNS)}
    rows = columns["embeddings"].astype(np.float32)
    columns["embeddings"] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return columns


def _checked(record: dict[str, np.ndarray], place: Path) -> dict[str, np.ndarray]:
    """A record with the columns that a search reads: the folder may be somebody else's."""
    rows = record.get("embeddings")
    columns = [record.get(name) for name in COLUMNS]
    if rows is None or rows.ndim != 2 or rows.dtype.kind != "f":
        raise StoreError(f"{place}: holds no embeddings; make the index again")
    if any(column is None or column.ndim != 1 or column.dtype.kind not in "iuf" for column in columns):
        raise StoreError(f"{place}: holds no frames and times; make the index again")
    return record


def _chunks(counts: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Name -> first and last file of each matrix of about `CHUNK` rows; one alone is called 'all'."""
    cuts, rows = [0], 0
    for file, count in enumerate(counts):
        if rows and rows + count > CHUNK:
            cuts.append(file)
            rows = 0
        rows += count
    cuts.append(len(counts))
    spans = list(pairwise(cuts))
    return {"all" if len(spans) == 1 else f"rows {number}": span for number, span in enumerate(spans)}
