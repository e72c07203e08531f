"""Pictures with depth as data sets: scenes of the embedded world, and measured ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from clipkit.data.depth import MILLIMETRES, DepthFiles, NyuMat, pair_depths, read_list
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError
from clipkit.evaluation.depth import DEPTHCLIP, EIGEN
from clipkit.shapes.chunks import SEED_STEP, to_bytes
from clipkit.shapes.depths import depth_scenes
from clipkit.shapes.evaluate import HELD_OUT

CROPS = ("eigen", "depthclip")
NYU = (480, 640)


@DATASETS.register_module()
class SceneDepths(Dataset):
    """Scenes of the embedded world with depth (`clipkit.shapes.depth_scenes`) that no training of a CLIP drew.

    Args:
        length: scenes.
        seed: another one gives other scenes.
        size, objects, split, subset: see `depth_scenes`.
    """

    def __init__(self, length: int, seed: int = 0, **options: Any) -> None:
        self.scenes = depth_scenes(length, seed=HELD_OUT + seed * SEED_STEP, **options)
        self.images = to_bytes(self.scenes.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`image` (H, W, 3) uint8; `depth` (H, W) metres, 0 outside objects; `objects` (H, W) int64, see
        `Scenes.instances`; `name`."""
        return {
            "image": torch.from_numpy(self.images[index]),
            "depth": self.scenes.depth[index],
            "objects": self.scenes.instances[index],
            "name": str(index),
        }


@DATASETS.register_module()
class PhotoDepths(Dataset):
    """Photos with measured depth, from one of three: NYU's `mat` with its `splits`; a list of `pairs` below `root`;
    the folders `images` and `depths`.

    Args:
        mat, splits, split: see `clipkit.data.depth.NyuMat`.
        pairs, root: see `clipkit.data.depth.read_list`.
        images, depths, suffix: see `clipkit.data.depth.pair_depths`.
        scale: of depth pictures, see `clipkit.data.depth.read_depth`.
        crop: what counts of NYU's 480 × 640 pixels. 'eigen': the window that is scored since Eigen et al.; 'depthclip':
            as DepthCLIP's released code has it, the picture is cut to 416 × 544 pixels and so is the window; None: all.
        count, seed: that many of the photos, drawn; None: all.
        rest: those that `count` and `seed` leave over, to test on, in place of the drawn ones.

    Raises:
        FileNotFoundError, ClipkitError: files that are not there or do not fit, in one line.
    """

    def __init__(
        self,
        mat: str | None = None,
        splits: str | None = None,
        split: str | None = None,
        pairs: str | None = None,
        root: str = "",
        images: str | None = None,
        depths: str | None = None,
        suffix: str = "",
        scale: float = MILLIMETRES,
        crop: str | None = None,
        count: int | None = None,
        seed: int = 0,
        rest: bool = False,
    ) -> None:
        if crop is not None and crop not in CROPS:
            raise ClipkitError(f"PhotoDepths: crop={crop!r}; known: {', '.join(CROPS)}, None")
        if sum(one is not None for one in (mat, pairs, images)) != 1 or (images is None) != (depths is None):
            raise ClipkitError("PhotoDepths: give mat=, or pairs= with root=, or images= with depths=")
        self.photos: NyuMat | DepthFiles
        if mat is not None:
            self.photos = NyuMat(mat, splits, split)
        else:
            files = read_list(pairs, root) if pairs is not None else pair_depths(images, depths, suffix)  # type: ignore
            self.photos = DepthFiles(files, scale)
        self.crop = crop
        self.order = np.arange(len(self.photos))
        if count is not None:
            if not 1 <= count <= len(self.photos) - rest:
                raise ClipkitError(f"PhotoDepths: count={count}, and there are {len(self.photos)} photos")
            drawn = np.random.default_rng(seed).permutation(len(self.photos))
            self.order = np.sort(drawn[count:]) if rest else drawn[:count]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`image` (H, W, 3) uint8; `depth` (H, W) metres, 0 where it does not count; `name`."""
        place = int(self.order[index])
        image, depth = self.photos[place]
        name = self.photos.name(place)
        if self.crop is not None:
            if depth.shape != NYU:
                raise ClipkitError(
                    f"{name}: is {depth.shape[1]} x {depth.shape[0]} pixels, and crop={self.crop!r} is of NYU's "
                    "640 x 480: leave crop= out"
                )
            top, bottom, left, right = EIGEN
            counts = np.zeros_like(depth)
            counts[top:bottom, left:right] = depth[top:bottom, left:right]
            top, bottom, left, right = DEPTHCLIP if self.crop == "depthclip" else (0, *NYU[:1], 0, *NYU[1:])
            image, depth = image[top:bottom, left:right], counts[top:bottom, left:right]
        return {
            "image": torch.from_numpy(np.array(image)),
            "depth": torch.from_numpy(np.array(depth)),
            "name": name,
        }
