"""Scenes of `clipkit.shapes` as a segmentation data set for mmseg's pipelines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from clipkit.data.palette import palette
from clipkit.engine.registry import DATASETS
from clipkit.shapes import class_names, seen_mask
from clipkit.shapes.chunks import SEED_STEP, chunks, to_bytes


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
        names = class_names()
        self.metainfo = {"classes": tuple(names), "palette": palette(len(names)), "seen": seen_mask(split).tolist()}
        self.test_mode = test_mode
        self.pipeline = Compose(list(pipeline))
        self.seed, self.subset = seed, subset
        options: dict[str, Any] = {
            "size": size,
            "split": split,
            "subset": subset,
            "style": style,
            "objects": tuple(objects),
        }
        images, masks = [], []
        for scenes, count in chunks(length, seed * SEED_STEP, **options):
            images.append(to_bytes(scenes.images[:count])[..., ::-1])
            masks.append(scenes.semantic[:count].to(torch.uint8).numpy())
        self.images, self.masks = np.concatenate(images), np.concatenate(masks)

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
