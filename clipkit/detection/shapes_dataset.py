"""Scenes of `clipkit.shapes` as a detection data set for mmdet's pipelines, with a teacher's view of their regions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from clipkit.backbone.options import clip_options
from clipkit.data.coco_results import to_rle
from clipkit.data.sliding_boxes import propose
from clipkit.detection.datasets import class_info
from clipkit.embed.encoder import load_teacher
from clipkit.embed.region_store import FORMAT, pack, pack_boxes, record_id, unpack_boxes
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import DATASETS
from clipkit.shapes.chunks import SEED_STEP, chunks, to_bytes
from clipkit.store import Store

OBJECTS = (2, 5)  # of a scene, if nobody says otherwise


@DATASETS.register_module()
class ShapesDetDataset(Dataset):
    """`length` scenes of `size` × `size` pixels with boxes and masks, rendered at the start and held as uint8.

    Objects of all 96 compositions are in the images; `labelled='base'` leaves the novel ones without annotation, as in
    LVIS and COCO. Labels are places in `read_classes('shapes:objects')`. Images are BGR, as mmcv loads them.

    Args:
        length, size, seed, style, objects, pipeline, test_mode: see `ShapesSegDataset`; the pipeline gets `img`,
            `gt_bboxes`, `gt_bboxes_labels`, `gt_masks`, `gt_ignore_flags`, and `instances` for the metric.
        split: which compositions are base, see `clipkit.shapes.render`.
        labelled: 'base' or 'all'.
        teacher: `dict(folder=..., clip=..., most=32, scales=(1.0, 1.5))`, `clip` a name or
            `dict(name=..., pretrained=..., precision=...)`: before the pipeline is built, a
            store is made of what this CLIP says about at most so many regions of each scene, or completed after a
            kill, for `TeacherRegions`. Regions are those that stand out by colour, whatever they hold.
    """

    def __init__(
        self,
        length: int,
        size: int = 128,
        seed: int = 0,
        split: str | None = "composition",
        labelled: str = "all",
        style: str = "photo",
        objects: tuple[int, int] = OBJECTS,
        pipeline: Sequence[dict] = (),
        teacher: Mapping[str, Any] | None = None,
        test_mode: bool = False,
    ):
        if labelled not in ("base", "all"):
            raise ValueError(f"labelled='{labelled}' is unknown; known: base, all")
        names = read_classes("shapes:objects")
        self.metainfo = class_info(names, read_classes(f"shapes:objects:{split}") if split else None)
        base = set(self.metainfo["base_classes"])
        self.kept = np.array([labelled == "all" or name in base for name in names])
        self.test_mode, self.name = test_mode, f"shapes_det/{style}/{size}/{seed}"
        if tuple(objects) != OBJECTS:  # in the name only then: stores that were made without it stay valid
            self.name += f"/{'-'.join(map(str, objects))}"
        options: dict[str, Any] = {"size": size, "split": split, "style": style, "objects": tuple(objects)}
        images, parts = [], []
        for scenes, count in chunks(length, seed * SEED_STEP, **options):
            images.append(to_bytes(scenes.images[:count])[..., ::-1])
            ids, labels = scenes.instances.to(torch.uint8), scenes.colour * 12 + scenes.shape
            parts.append([part[:count].numpy() for part in (ids, scenes.boxes, labels, scenes.present)])
        self.images = np.concatenate(images)
        self.instances, self.boxes, self.labels, self.present = (np.concatenate(part) for part in zip(*parts))
        if teacher is not None:
            self._teach(**teacher)
        self.pipeline = Compose(list(pipeline))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        """The pipeline's result for scene `index`."""
        from mmdet.structures.bbox import HorizontalBoxes
        from mmdet.structures.mask import BitmapMasks

        index = int(index)
        image, ids = self.images[index], self.instances[index]
        kept = np.flatnonzero(self.present[index] & self.kept[self.labels[index]])
        boxes, labels = self.boxes[index, kept], self.labels[index, kept]
        masks = (ids == kept[:, None, None] + 1).astype(np.uint8)
        results: dict[str, Any] = {
            "img": image,
            "img_id": index,
            "img_path": f"{self.name}/{index}",
            "img_shape": image.shape[:2],
            "ori_shape": image.shape[:2],
            "gt_bboxes": HorizontalBoxes(boxes, dtype=torch.float32),
            "gt_bboxes_labels": labels.astype(np.int64),
            "gt_ignore_flags": np.zeros(len(kept), dtype=bool),
            "gt_masks": BitmapMasks(masks, *image.shape[:2]),
            "scale_factor": (1.0, 1.0),
        }
        if self.test_mode:
            results["instances"] = [
                {"bbox": box, "bbox_label": int(label), "ignore_flag": 0, "mask": to_rle(mask)}
                for box, label, mask in zip(boxes.tolist(), labels, masks)
            ]
        return self.pipeline(results)

    def _teach(
        self,
        folder: str,
        clip: str | Mapping[str, Any] = "tiny_clip",
        pretrained: str | None = None,
        most: int = 32,
        scales: Sequence[float] = (1.0, 1.5),
        precision: str | None = None,
        order: str = "sum-normalize",
    ) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        wanted = clip_options(clip, pretrained=pretrained, precision=precision)
        name, weights, computed = wanted["name"], wanted.get("pretrained"), wanted.get("precision", "auto")
        teacher, made_by = load_teacher(name, weights, computed, device, scales, order)
        key = {"kind": "regions", "format": FORMAT, **made_by, "normalized": True, "dtype": "fp16"}
        key["boxes"] = {"from": "contrast", "most": most}
        store = Store(Path(folder), key, shard_size=32, batch_size=16)
        place = {record_id(f"{self.name}/{i}", _hash(image)): i for i, image in enumerate(self.images)}

        def compute(ids: list[str]) -> list[dict[str, np.ndarray]]:
            rgb = [np.ascontiguousarray(self.images[place[key], :, :, ::-1]) for key in ids]
            found = [propose(image, most) for image in rgb]
            boxes = [unpack_boxes(pack_boxes(b)) for b, _ in found]  # what is embedded is what is stored
            images = torch.from_numpy(np.stack(rgb)).to(device).movedim(-1, 1).float() / 255
            rows = teacher.regions(images, [torch.from_numpy(b).to(device) for b in boxes]).cpu().numpy()
            parts = np.split(rows, np.cumsum([len(b) for b in boxes])[:-1])
            return [pack(b, s, e) for b, (_, s), e in zip(boxes, found, parts)]

        store.build(place, compute, desc="embedding regions", unit="scene")


def _hash(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
