"""What a frozen CLIP says about the regions of many images, computed once: written by `clipkit precompute`, read by a
detector's data loader. On disk a `clipkit.store`, one record an image, with these arrays of M rows:

    embeddings  (M, D)  float16, or int8 with the column below
    scale       (M,)    float32, only with int8: embedding = scale * int8
    boxes       (M, 4)  uint16 in units of 2**-exponent pixels
    exponent    (M,)    int8, one value an image: the finest at which its boxes fit
    scores      (M,)    float16

Up to 2047 pixels a coordinate is off by at most 1/64 pixel; an image twice as large doubles that. Beside its embedding
a region costs 11 bytes (int8: 15), 1.1 % (2.9 %) of it at D = 512.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from clipkit.store import Store, StoreError

FORMAT = 1
DTYPES = ("fp16", "int8")
_DIGITS = 16  # of an image's content hash, at the end of its record's id


class Regions(NamedTuple):
    """The regions of one image, best score first.

    Attributes:
        boxes: `(M, 4)` float32, x1 y1 x2 y2 in pixels of the image as `clipkit.data.read_image` gives it.
        scores: `(M,)` float32.
        embeddings: `(M, D)` float32, unit length up to the rounding of what is stored.
    """

    boxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray


def pack_boxes(boxes: np.ndarray) -> dict[str, np.ndarray]:
    """`(M, 4)` pixels, 0 or more -> the columns `boxes` and `exponent`.

    Raises:
        ValueError: a coordinate that is negative or not finite.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if not (np.isfinite(boxes).all() and (boxes >= 0).all()):
        raise ValueError("boxes must be finite and within their image; clip them first")
    largest = max(boxes.max(initial=0.0), 1.0)
    exponent = int(np.floor(np.log2(65535 / largest)))
    return {
        "boxes": np.round(boxes * 2.0**exponent).astype(np.uint16),
        "exponent": np.full(len(boxes), exponent, dtype=np.int8),
    }


def unpack_boxes(record: Mapping[str, np.ndarray]) -> np.ndarray:
    """The columns `boxes` and `exponent` -> `(M, 4)` float32 pixels."""
    return np.ldexp(record["boxes"].astype(np.float32), -record["exponent"][:, None].astype(np.int32))


def pack_embeddings(embeddings: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """`(M, D)` unit rows -> the column `embeddings`, for int8 also `scale`."""
    if dtype == "fp16":
        return {"embeddings": embeddings.astype(np.float16)}
    if dtype != "int8":
        raise ValueError(f"dtype is one of {', '.join(DTYPES)}, got {dtype!r}")
    rows = embeddings.astype(np.float32)
    peak = np.abs(rows).max(1, initial=0.0, keepdims=True)
    whole = np.round(rows * (127 / np.where(peak > 0, peak, 1))).astype(np.int8)
    # Not peak / 127 but what gives the row its own length back.
    length = np.linalg.norm(whole.astype(np.float32), axis=1)
    scale = np.linalg.norm(rows, axis=1) / np.where(length > 0, length, 1)
    return {"embeddings": whole, "scale": scale.astype(np.float32)}


def pack(boxes: np.ndarray, scores: np.ndarray, embeddings: np.ndarray, dtype: str = "fp16") -> dict[str, np.ndarray]:
    """One image's record for `Store.build`."""
    scores = np.asarray(scores, dtype=np.float16).reshape(-1)
    return {**pack_boxes(boxes), "scores": scores, **pack_embeddings(embeddings, dtype)}


def unpack(record: Mapping[str, np.ndarray]) -> Regions:
    """What `pack` wrote, in float32."""
    embeddings = record["embeddings"].astype(np.float32)
    if "scale" in record:
        embeddings *= record["scale"][:, None]
    return Regions(unpack_boxes(record), record["scores"].astype(np.float32), embeddings)


def record_id(name: str, digest: str) -> str:
    """The id of an image's record: its name, and the first digits of the SHA-256 of its file. A picture that changes
    has another id, and pictures can be added to a store without touching its key."""
    return f"{name}@{digest[:_DIGITS]}"


def name_of(identifier: str) -> str:
    """The image's name in a record's id."""
    return identifier[: -_DIGITS - 1]


class TeacherStore:
    """Reads what `clipkit precompute` wrote. Each process opens it for itself, so it can be handed to any number of
    data-loader workers.

    Args:
        folder: the store.
        expect: what must have made it, for instance `{'weights': clip.weights_hash, 'crops.scales': [1.0, 1.5]}`; see
            `clipkit.embed.regions.store_key`. Fields that are left out are not compared.

    Raises:
        FileNotFoundError: no store there.
        StoreError: it holds other things than regions, or was made by something else; the line names the field.
    """

    def __init__(self, folder: str | Path, expect: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.expect = dict(expect or {})
        self._process: int | None = None
        self._open()

    @property
    def key(self) -> dict[str, Any]:
        """What made the store."""
        return self._open().key

    def __getitem__(self, image: str | PurePath) -> Regions:
        """The regions of an image, by its path or by the name in the store.

        Raises:
            KeyError: the store does not have it.
            StoreError: its file is damaged.
        """
        store = self._open()
        name = self.find(image)
        if name is None:
            raise KeyError(f"{image} is not in the teacher store {self.folder}: run `clipkit precompute` for it")
        record = store[self._ids[name]]
        try:
            found = unpack(record)
            if found.boxes.shape[1:] != (4,) or found.embeddings.ndim != 2 or found.scores.ndim != 1:
                raise ValueError
            return found
        except (KeyError, IndexError, ValueError, TypeError):
            raise StoreError(
                f"{self.folder}: its records are not those of a teacher; delete it and build again"
            ) from None

    def find(self, image: str | PurePath) -> str | None:
        """The store's name of an image: that of its path's tails which the store has, the longest first."""
        self._open()
        parts = PurePath(image).parts
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((tail for tail in tails if tail in self._ids), None)

    def __contains__(self, image: str | PurePath) -> bool:
        return self.find(image) is not None

    def __iter__(self) -> Iterator[str]:
        """Names of the images, in the order in which they were asked for."""
        self._open()
        return iter(self._ids)

    def __len__(self) -> int:
        self._open()
        return len(self._ids)

    def _open(self) -> Store:
        # Maps, and a lock that another thread may just have held, must not come along through a fork.
        if self._process != os.getpid():
            store = Store(self.folder)
            if store.key.get("kind") != "regions":
                raise StoreError(f"{self.folder}: holds {store.key.get('kind')!r}, not the regions of a teacher")
            wrong = [
                f"{field} is {found!r} in the store and {wanted!r} here"
                for field, wanted in self.expect.items()
                if (found := _field(store.key, field)) != (list(wanted) if isinstance(wanted, tuple) else wanted)
            ]
            if wrong:
                raise StoreError(
                    f"{self.folder}: was made by something else: {'; '.join(wrong)}; run `clipkit precompute` into "
                    "another folder"
                )
            self._ids = {name_of(identifier): identifier for identifier in store}
            self._store, self._process = store, os.getpid()
        return self._store

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "expect": self.expect, "_process": None}

    def __repr__(self) -> str:
        return f"TeacherStore({str(self.folder)!r}: {len(self)} images)"


def _field(key: Mapping[str, Any], path: str) -> Any:
    value: Any = key
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
