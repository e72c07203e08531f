"""A frozen CLIP's features of an image set, computed once and kept on disk: what zero-shot classification, probes,
few-shot adapters, retrieval and the search for duplicates all start from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.device import autocast_dtype
from clipkit.embed._work import Work
from clipkit.embed.encoder import finite, precision_name, preprocessing
from clipkit.errors import ClipkitError
from clipkit.store import Store

SHARD, BATCH = 512, 128  # images: what a kill can cost, and what is computed at once
THUMBNAIL = 16


class Images(Protocol):
    """What is embedded, see `clipkit.data.image_folder.LabelledImages`."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> np.ndarray: ...

    def identify(self, index: int) -> str: ...


@dataclass
class ImageFeatures:
    """Features of `N` images, on the CPU.

    Attributes:
        embedding: `(N, D)` float32 in the text space, **not** normalised.
        penultimate: `(N, C)` float32, before the projection (CLIP's linear probe uses it for ViT).
        thumbnail: `(N, 16, 16)` uint8, grey: what tells a copy from another picture of the same thing.
        ids: of the images.
    """

    embedding: Tensor
    penultimate: Tensor
    thumbnail: Tensor
    ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, kind: str) -> Tensor:
        """'embedding' or 'penultimate'."""
        return {"embedding": self.embedding, "penultimate": self.penultimate}[kind]

    def take(self, indices: Any) -> ImageFeatures:
        """Some of the images, in this order."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        kept = (self.embedding[index], self.penultimate[index], self.thumbnail[index])
        return ImageFeatures(*kept, [self.ids[i] for i in index.tolist()])


def image_features(
    clip: ClipModel,
    images: Images,
    folder: str | Path,
    *,
    precision: str = "fp32",
    workers: int = 4,
    progress: bool = True,
) -> ImageFeatures:
    """Embeds an image set through the model's own preprocessing; what `folder` holds already is read from there.

    Sets that share images share their records, an image that changes has another one, and each model, preprocessing and
    precision has a store of its own below `folder`. A killed run goes on where it stopped; processes of torchrun share
    the work.

    Args:
        images: with `read` and `identify`, see `clipkit.data.image_folder.LabelledImages`.
        precision: 'fp32', 'bf16', 'fp16' or 'auto', of the computation; what is kept is float32.
        workers: threads that read and resize.

    Raises:
        ClipkitError: no image, one that cannot be read, or features that are not finite.
    """
    if len(images) == 0:
        raise ClipkitError("the image set is empty")
    dtype = autocast_dtype(precision, clip.device)
    key = {
        "kind": "images",
        "weights": clip.weights_hash,
        "preprocessing": preprocessing(clip),
        "precision": precision_name(dtype),
        "format": 1,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    store = Store(Path(folder) / f"images-{digest[:16]}", key, shard_size=SHARD, batch_size=BATCH)
    with ThreadPoolExecutor(workers) as pool:
        keys = list(pool.map(images.identify, range(len(images))))
        ids: list[str] = []
        # Again where another run that shares the store left records of ours empty while we worked.
        while ids != (ids := [store.free_id(key) for key in keys]):
            work = _Images(clip, images, ids, dtype, pool)
            # A set may show the same file twice.
            store.build(dict.fromkeys(ids), work, desc="embedding", unit="image", ahead=work.ahead, progress=progress)
    embedding, penultimate, thumbnail = (
        torch.from_numpy(store.read(ids, name)[0]) for name in ("embedding", "penultimate", "thumbnail")
    )
    return ImageFeatures(embedding, penultimate, thumbnail, ids)


class _Images(Work[tuple[Tensor, np.ndarray]]):
    def __init__(
        self, clip: ClipModel, images: Images, ids: Sequence[str], dtype: torch.dtype | None, pool: ThreadPoolExecutor
    ) -> None:
        super().__init__(pool)
        self.clip, self.images, self.dtype = clip, images, dtype
        self.place = {identifier: index for index, identifier in enumerate(ids)}
        self.preprocess = clip.preprocess

    def read(self, key: str) -> tuple[Tensor, np.ndarray]:
        if key in self.place:
            picture = Image.fromarray(np.ascontiguousarray(self.images.read(self.place[key])))
        else:  # begun by a run that was stopped, and not in this set, or no longer
            picture = Image.new("RGB", (1, 1))
        small = picture.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        return self.preprocess(picture), np.asarray(small)

    def embed(self, ids: list[str], items: list[tuple[Tensor, np.ndarray] | None]) -> list[dict[str, np.ndarray]]:
        pixels, small = zip(*(item for item in items if item is not None))
        batch = torch.stack(pixels).to(self.clip.device)
        with torch.autocast(batch.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            found = self.clip.features(batch, dense=False)
        embedding, penultimate = self.checked(found.embedding.float().cpu()), finite(found.penultimate.float().cpu())
        rows = {"embedding": embedding.numpy(), "penultimate": penultimate.numpy(), "thumbnail": np.stack(small)}
        ends = [n + (key in self.place) for n, key in enumerate(ids)]  # without a row where there is no image
        return [{name: part[n:end] for name, part in rows.items()} for n, end in enumerate(ends)]
