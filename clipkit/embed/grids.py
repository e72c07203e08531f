"""The grid of a frozen CLIP over images, computed once and kept on disk: what questions about images are answered from.

On disk a `clipkit.store` below one folder with a record an image, a row a cell from the upper left, row by row:
`cells` (M, C) the tower's own features, `place` (M, 2) where a cell's middle is, x and y in image sides, and, where it
was asked for, `joint` (M, D) each cell in the text's space; cells and joint in float16.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.adapters import to_whole_patches
from clipkit.backbone import ClipModel
from clipkit.embed._work import Work
from clipkit.embed.encoder import finite
from clipkit.embed.images import Images
from clipkit.errors import ClipkitError
from clipkit.store import Store

SHARD, BATCH = 128, 32


class Grid(NamedTuple):
    """One image: `cells` `(M, C)`, `place` `(M, 2)`, `joint` `(M, D)` or None, float32, not normalised; of `B` images
    of one size with B in front."""

    cells: Tensor
    place: Tensor
    joint: Tensor | None


@torch.no_grad()
def look(
    clip: ClipModel, images: Tensor, layer: int = -1, stride: int | None = None, joint: bool = True
) -> tuple[Grid, tuple[int, int]]:
    """The grid of `images` `(B, 3, H, W)` RGB in [0, 1], any size, and its (h, w); positions are resized to it.

    Args:
        layer: block or stage whose output the cells are.
        stride: pixels a cell, see `ClipModel.features`.
        joint: whether each cell is also wanted in the text's space.
    """
    seen = clip.features(to_whole_patches(images, clip.patch_size), (layer,), dense=joint, stride=stride)
    maps = seen.maps[0].float()
    high, wide = maps.shape[2:]
    y, x = torch.meshgrid((torch.arange(high) + 0.5) / high, (torch.arange(wide) + 0.5) / wide, indexing="ij")
    place = torch.stack([x, y], -1).view(1, -1, 2).expand(len(maps), -1, -1).to(maps.device)
    dense = seen.dense.float().flatten(2).transpose(1, 2) if joint else None
    return Grid(maps.flatten(2).transpose(1, 2), place, dense), (high, wide)


class Grids:
    """Grids of an image set, read from its store by the image's index; each process opens it for itself.

    Args:
        store: complete for these ids.
    """

    def __init__(self, store: Store, ids: Sequence[str], joint: bool) -> None:
        self.store, self.ids, self.joint = store, list(ids), joint

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Grid:
        record = self.store[self.ids[index]]
        cells, place, *dense = (
            torch.from_numpy(np.array(record[name], np.float32))
            for name in ("cells", "place", *(["joint"] if self.joint else []))
        )
        return Grid(cells, place, dense[0] if dense else None)


def embed_grids(
    clip: ClipModel,
    made_by: dict[str, Any],
    images: Images,
    folder: str | Path,
    *,
    size: int | None = None,
    layer: int = -1,
    stride: int | None = None,
    joint: bool = True,
    workers: int = 2,
    progress: bool = True,
) -> Grids:
    """Computes what is missing; a killed run goes on where it stopped, processes of torchrun share the work.

    Args:
        clip, made_by: see `clipkit.embed.encoder.load_frozen`.
        images: with `read` and `identify`, see `clipkit.embed.images.Images`.
        folder: each model, size and layer has a store of its own below it.
        size: short side in pixels, in whole patches; None takes pictures as they come.
        layer, stride, joint: see `look`.

    Raises:
        ClipkitError: no image, one that cannot be read, or features that are not finite.
        StoreError: the folder holds something else.
    """
    if len(images) == 0:
        raise ClipkitError("grids of no images are asked for")
    made = {**made_by, "preprocessing": {"size": size, "whole_patches": True}}
    key = {"kind": "grids", **made, "layer": layer, "stride": stride, "joint": joint, "format": 1}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    store = Store(Path(folder) / f"grids-{digest[:16]}", key, shard_size=SHARD, batch_size=BATCH)
    with ThreadPoolExecutor(workers) as pool:
        keys = list(pool.map(images.identify, range(len(images))))
        ids: list[str] = []
        while ids != (ids := [store.free_id(key) for key in keys]):  # see `image_features`
            work = _Grids(clip, images, ids, size, (layer, stride, joint), pool)
            store.build(dict.fromkeys(ids), work, desc="looking", unit="image", ahead=work.ahead, progress=progress)
    return Grids(store, ids, joint)


class _Grids(Work[Tensor]):
    def __init__(
        self,
        clip: ClipModel,
        images: Images,
        ids: Sequence[str],
        size: int | None,
        how: tuple[int, int | None, bool],
        pool: ThreadPoolExecutor,
    ) -> None:
        super().__init__(pool)
        self.clip, self.images, self.size, self.how = clip, images, size, how
        self.place = {identifier: index for index, identifier in enumerate(ids)}

    def read(self, key: str) -> Tensor:
        # Begun by a run that was stopped, and not in this set, or no longer: any picture, whose rows are not kept.
        rgb = self.images.read(self.place[key]) if key in self.place else np.zeros((64, 64, 3), np.uint8)
        return picture_tensor(rgb, self.size, self.clip.patch_size)

    def embed(self, ids: list[str], items: list[Tensor | None]) -> list[dict[str, np.ndarray]]:
        pictures = [item for item in items if item is not None]
        found: list[dict[str, np.ndarray]] = [{} for _ in ids]
        for shape in {picture.shape for picture in pictures}:  # pictures of one size share a pass
            places = [i for i, picture in enumerate(pictures) if picture.shape == shape]
            batch = torch.stack([pictures[i] for i in places]).to(self.clip.device, self.clip.dtype)
            grid, _ = look(self.clip, batch, *self.how)
            kept = {"cells": self.checked(grid.cells.half()), "place": grid.place}
            if grid.joint is not None:
                kept["joint"] = finite(grid.joint.half())
            for row, i in enumerate(places):
                end = None if ids[i] in self.place else 0
                found[i] = {name: part[row, :end].cpu().numpy() for name, part in kept.items()}
        return found


def picture_tensor(rgb: np.ndarray, size: int | None, patch: int | None) -> Tensor:
    """`(H, W, 3)` uint8 -> `(3, h, w)` float in [0, 1]: the short side `size` pixels, the long one in proportion, both
    in whole patches, so that pictures of a camera share passes."""
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    if size is not None:
        step, short = patch or 1, min(picture.size)
        sides = [max(round(side * size / short / step), 1) * step for side in picture.size]
        picture = picture.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
