"""Scenes of `clipkit.shapes` as a segmentation data set for mmseg's pipelines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from clipkit.data.palette import palette
from clipkit.engine.registry import DATASETS
from clipkit.shapes import class_names, render, seen_mask

CHUNK = 256
SEED_STEP = 1_000_003  # chunks and data sets of different seeds never share a scene's seed


@DATASETS.register_module()
class ShapesSegDataset(Dataset):
    """`length` scenes, rendered once at the start and held as uint8 (16 kB a scene of 64 pixels).

    The scenes are a function of (`seed`, `split`, `subset`, `style`, `size`, `objects`) alone, so a run that is resumed
    sees the same ones. Images are BGR, as mmcv's `LoadImageFromFile` gives them.

    Args:
        length: number of scenes.
        size: pixels a side.
        seed: scenes of different seeds are different; use another one for evaluation than for training.
        split, subset, style, objects: see `clipkit.shapes.render`.
        pipeline: transforms on `img` (H, W, 3) uint8 and `gt_seg_map` (H, W) uint8.
        test_mode: accepted because mmengine passes it; scenes always have masks.
    """

    def __init__(
        self,
        length: int,
        size: int = 64,
        seed: int = 0,
        split: str | None = "composition",
        subset: str = "all",
        style: str = "photo",
        objects: tuple[int, int] = (1, 3),
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
    ):
        if length < 1:
            raise ValueError(f"length must be at least 1 scene, got {length}")
        names = class_names()
        self.metainfo = {"classes": tuple(names), "palette": palette(len(names)), "seen": seen_mask(split).tolist()}
        self.test_mode = test_mode
        self.pipeline = Compose(list(pipeline))
        self.seed, self.subset = seed, subset
        self.images = np.empty((length, size, size, 3), dtype=np.uint8)
        self.masks = np.empty((length, size, size), dtype=np.uint8)
        options: dict[str, Any] = {
            "size": size,
            "split": split,
            "subset": subset,
            "style": style,
            "objects": tuple(objects),
        }
        for start in range(0, length, CHUNK):
            count = min(CHUNK, length - start)
            # Always a full chunk, so that scene i does not depend on how many scenes were asked for.
            scenes = render(CHUNK, seed=seed * SEED_STEP + start // CHUNK, **options)
            rgb = (scenes.images[:count] * 255).round_().to(torch.uint8)
            self.images[start : start + count] = rgb.flip(1).permute(0, 2, 3, 1).numpy()
            self.masks[start : start + count] = scenes.semantic[:count].to(torch.uint8).numpy()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        """The pipeline's result for scene `index`."""
        image = self.images[index]
        return self.pipeline(
            {
                "img": image,
                "gt_seg_map": self.masks[index],
                "img_path": f"shapes/{self.subset}/{self.seed}/{int(index)}",
                "img_shape": image.shape[:2],
                "ori_shape": image.shape[:2],
                "seg_fields": ["gt_seg_map"],
                "reduce_zero_label": False,
            }
        )
