"""Public segmentation data sets in their official layout that mmseg's own classes do not read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset, COCOStuffDataset

from clipkit.data.palette import palette
from clipkit.engine.class_names import read_classes
from clipkit.engine.pipeline_errors import named_pictures
from clipkit.engine.registry import DATASETS, TRANSFORMS
from clipkit.errors import ClipkitError, one_line
from clipkit.safe import open_picture, read_mat

THINGS = 80
WIDE_IGNORE = 65535
"""The id that counts nowhere where 255 is a class: `ignore_index` of everything that meets such masks."""


@DATASETS.register_module()
class COCOObjectDataset(COCOStuffDataset):
    """COCO-Object (GroupViT's protocol) from COCO-Stuff's own masks: its 80 things are ids 1 to 80, the rest is 0.

    The things are COCO-Stuff's first 80 classes; stuff and unlabelled pixels are 0: none is ignored. Layout and
    arguments are those of mmseg's `COCOStuffDataset`.
    """

    METAINFO = dict(
        classes=("background", *COCOStuffDataset.METAINFO["classes"][:THINGS]),
        palette=[[0, 0, 0], *COCOStuffDataset.METAINFO["palette"][:THINGS]],
    )

    @classmethod
    def get_label_map(cls, new_classes: Sequence | None = None) -> dict[int, int]:
        """Ids of COCO-Stuff's masks -> ids of the classes."""
        stuff = [*range(THINGS, len(COCOStuffDataset.METAINFO["classes"])), 255]
        return {**{i: i + 1 for i in range(THINGS)}, **dict.fromkeys(stuff, 0)}


@DATASETS.register_module()
class WideSegDataset(BaseSegDataset):
    """Data sets of more than 255 classes, whose masks mmseg would cut to 8 bits.

    ADE20K-847: `images_detectron2/x.jpg` with `annotations_detectron2/x.tif`, 16 bits, ids from 0, 65535 ignored, as
    the preparation scripts of MaskFormer and its successors write them; the names are a JSON list in the ids' order.
    PASCAL-Context-459: `JPEGImages/x.jpg` with the official `trainval/x.mat`, ids from 1; the official `labels.txt`.

    Args:
        classes: the names' file, or names; see `read_classes`.
        first_id: id of the first class in the masks; lower ones are ignored.
        seg_map_suffix: `.tif`, `.png` or `.mat`.
        **kwargs: of mmseg's `BaseSegDataset`. The pipeline loads masks by `LoadWideAnnotations`.

    Raises:
        ClipkitError: the folder of images or the list of names is missing.
    """

    def __init__(
        self,
        classes: str | Sequence[str],
        first_id: int = 0,
        seg_map_suffix: str = ".tif",
        ignore_index: int = WIDE_IGNORE,
        **kwargs,
    ):
        names = read_classes(classes)
        self.first_id = first_id
        metainfo = {"classes": tuple(names), "palette": palette(len(names))}
        super().__init__(metainfo=metainfo, seg_map_suffix=seg_map_suffix, ignore_index=ignore_index, **kwargs)

    def load_data_list(self) -> list[dict]:
        """mmseg's list; each item knows how its mask's ids count."""
        folder = Path(self.data_prefix["img_path"])
        if not folder.is_dir():
            raise ClipkitError(f"{folder}: no such folder of images; say where the data lies: variables.data=PATH")
        ids = {"first_id": self.first_id, "classes": len(self.metainfo["classes"]), "ignore_index": self.ignore_index}
        return [{**item, "ids": ids} for item in super().load_data_list()]

    def prepare_data(self, idx: int) -> Any:
        """An item through the pipeline; whatever a transform stumbles over names the picture."""
        return named_pictures(super().prepare_data, self.get_data_info, idx)


@TRANSFORMS.register_module()
class LoadWideAnnotations(BaseTransform):
    """Masks of `WideSegDataset` -> `gt_seg_map` (H, W) uint16: 0 is the first class, `ignore_index` what is none."""

    def transform(self, results: dict) -> dict:
        """Reads `seg_map_path`.

        Raises:
            ClipkitError: the file cannot be read, or holds an id that is no class.
        """
        path, ids = results["seg_map_path"], results["ids"]
        mask = _read_ids(path).astype(np.int64)
        ignored = (mask == ids["ignore_index"]) | (mask < ids["first_id"])
        mask -= ids["first_id"]
        highest = int(mask[~ignored].max(initial=0))
        if highest >= ids["classes"]:
            raise ClipkitError(
                f"{path}: holds id {highest + ids['first_id']}, but there are {ids['classes']} classes from id "
                f"{ids['first_id']}: is the list of names that of the masks?"
            )
        mask[ignored] = ids["ignore_index"]
        results["gt_seg_map"] = mask.astype(np.uint16)
        results["seg_fields"].append("gt_seg_map")
        return results


def _read_ids(path: str) -> np.ndarray:
    """A mask's ids (H, W): of an image, or of the array `LabelMap` in a MATLAB file."""
    try:
        if path.endswith(".mat"):
            return read_mat(path, "LabelMap")
        with open_picture(path) as image:
            return np.asarray(image)
    except ClipkitError:
        raise
    except FileNotFoundError:
        raise ClipkitError(f"{path}: no such mask") from None
    except KeyError:
        raise ClipkitError(f"{path}: holds no LabelMap; is it PASCAL-Context's trainval folder?") from None
    except Exception as error:  # scipy and PIL raise whatever a broken file leads them to
        raise ClipkitError(f"{path}: cannot be read as a mask ({one_line(error, 120)})") from error
