"""What `clipkit embed` wrote, as records of a search index: nothing is encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.data.samples import address_of
from clipkit.embed.bulk import Embeddings
from clipkit.errors import ClipkitError
from clipkit.store import StoreError


def is_embedded(folder: str | Path) -> bool:
    """True for the `--out` of `clipkit embed` with a store."""
    return (Path(folder) / "embeddings/store.json").is_file()


def open_embedded(folder: str | Path) -> Embeddings:
    """Raises ClipkitError where it has no pictures, or says nothing of the model that made them."""
    found = Embeddings(folder)
    key = found.store.key
    if key.get("wanted") == "texts":
        raise ClipkitError(f"{folder}: holds embeddings of texts alone; an index is of pictures and films")
    own, sampling = _dictionary(key, "preprocessing"), _dictionary(key, "sampling")
    words = (key.get("weights"), own.get("resize_mode", ""), own.get("interpolation", ""))
    is_known = "size" in own and all(isinstance(word, str) for word in words)
    if not is_known or not isinstance(sampling.get("fps"), (int, float)):
        raise ClipkitError(f"{folder}: does not say which model made it, and how; embed again")
    return found


def _dictionary(key: dict[str, Any], name: str) -> dict[str, Any]:
    value = key.get(name)
    return value if isinstance(value, dict) else {}


def made_by_of(found: Embeddings) -> tuple[dict[str, Any], float]:
    """What `clipkit.search.index.index_key` makes an index's key of."""
    key = found.store.key
    return {name: key.get(name) for name in ("weights", "precision", "preprocessing")}, float(key["sampling"]["fps"])


def embedded_records(found: Embeddings) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """(id, record) of each picture and film, see `clipkit.search.index`.

    A thing in an archive is called `ARCHIVE/NAME`, a file that a list names by where it lies beside the list. Whether a
    file is still what was embedded is not known; where it was embedded again, the later record counts. Frames have no
    number (-1), and are on show until the next one.

    Raises:
        StoreError: rows that are no embeddings, or not finite.
    """
    for part, (names, arrays) in zip(found.parts, found):
        rows, times = arrays.get("embeddings"), arrays["time"]
        is_finite = rows is not None and np.isfinite(rows).all() and rows.any(1).all() and not np.isinf(times).any()
        if rows is None or not is_finite or times.ndim != 1:
            raise StoreError(f"{found.store.folder}: {part[:200]!r} holds no embeddings of pictures; embed again")
        state = part.rpartition("@")[2]  # another one after a change: then the file has another record
        places: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            places.setdefault(name, []).append(row)
        for name, own in places.items():
            start = np.nan_to_num(times[own])
            frame, end = np.where(np.isnan(times[own]), 0, -1), np.append(start[1:], start[-1])
            record = {"embeddings": rows[own], "frame": frame, "start": start, "end": end}
            yield f"{address_of(part, name)}@{state}", record
