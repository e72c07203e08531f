"""Stored regions go where the detector's pipeline takes their image. mmdet's transforms move ground truth and leave
proposals where they were; what they all note is the homography of their step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData

from clipkit.embed.region_store import TeacherStore
from clipkit.engine.registry import TRANSFORMS
from clipkit.errors import ClipkitError


def map_boxes(boxes: np.ndarray, homography: np.ndarray) -> np.ndarray:
    """The upright boxes `(M, 4)` around the images of boxes `(M, 4)` x1 y1 x2 y2 under a `(3, 3)` homography."""
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    corners = np.stack([[x1, x2, x1, x2], [y1, y1, y2, y2], np.ones((4, len(x1)))])  # (3, 4, M)
    moved = np.einsum("ij,jkm->ikm", np.asarray(homography, np.float64), corners)
    x, y = moved[:2] / moved[2]
    return np.stack([x.min(0), y.min(0), x.max(0), y.max(0)], 1)


def clip_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Boxes cut to an image of `shape` (height, width); what lies outside has no area afterwards."""
    return np.clip(boxes, 0, [shape[1], shape[0], shape[1], shape[0]])


@TRANSFORMS.register_module()
class TeacherRegions:
    """Runs the rest of a pipeline, and puts the image's regions of a teacher store into the packed sample.

    >>> dict(type="clipkit.TeacherRegions", store="teacher", transforms=[
    ...     dict(type="mmdet.RandomResize", scale=(1024, 1024), ratio_range=(0.1, 2.0), keep_ratio=True,
    ...          resize_type="mmdet.Resize"),
    ...     dict(type="mmdet.RandomCrop", crop_size=(1024, 1024)),
    ...     dict(type="mmdet.RandomFlip", prob=0.5),
    ...     dict(type="mmdet.PackDetInputs")])

    After each of `transforms` the boxes are mapped by the homography that it noted, and cut to the image as it then is:
    as ground truth is. Those of which nothing is left are dropped with their embeddings. The last transform packs; then
    `data_samples.teacher_regions` has `bboxes` (m, 4), `scores` (m,) and `embeddings` (m, D), float32, and the metainfo
    `teacher_weights` the hash of the CLIP that made them, where the store's key has `weights`.

    Args:
        store: the folder that `clipkit precompute` wrote, or a `TeacherStore`.
        transforms: everything from the first that moves the image to the one that packs.
        expect: what must have made the store, see `TeacherStore`.

    Raises:
        ClipkitError: an image that the store does not have or that is not the one embedded; a transform that moves
            boxes without noting it (`RandomAffine`, `Expand`, `MinIoURandomCrop`, `Mosaic`, …).
    """

    def __init__(
        self, store: str | Path | TeacherStore, transforms: Sequence[Any], expect: Mapping[str, Any] | None = None
    ) -> None:
        self.store = store if isinstance(store, TeacherStore) else TeacherStore(store, expect)
        self.transforms = [TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in transforms]

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """mmdet's results after loading -> the packed sample; None where a transform rejects the image."""
        boxes, scores, embeddings = self._stored(results)
        homography = _homography(results)
        kept = np.ones(len(boxes), dtype=bool)
        for step in self.transforms:
            before, noted = _ground_truth(results), results.get("homography_matrix")
            results = step(results)
            if results is None:
                return None
            if "data_samples" in results:
                break
            moved = _homography(results)
            # A crop at the upper left corner notes that it moves nothing, and cuts boxes at its other sides.
            if results.get("homography_matrix") is noted:
                _check_still(step, before, _ground_truth(results))
            boxes = clip_boxes(map_boxes(boxes, moved @ np.linalg.inv(homography)), results["img_shape"][:2])
            kept &= (boxes[:, 2:] > boxes[:, :2]).all(1)  # once gone, a later shear does not bring it back
            homography = moved
        else:
            raise ClipkitError("TeacherRegions: the last of its transforms must pack, as mmdet.PackDetInputs does")
        columns = {"bboxes": boxes, "scores": scores, "embeddings": embeddings}
        regions = {name: torch.from_numpy(values[kept]).float() for name, values in columns.items()}
        results["data_samples"].teacher_regions = InstanceData(**regions)
        made_by = self.store.key.get("weights")
        if made_by is not None:  # not by the packing step's meta_keys, which a config may shorten
            results["data_samples"].set_metainfo({"teacher_weights": made_by})
        return results

    def _stored(self, results: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        path = results["img_path"]
        try:
            regions = self.store[path]
        except KeyError as error:
            raise ClipkitError(str(error.args[0])) from None
        height, width = results["ori_shape"][:2]
        if len(regions.boxes) and (regions.boxes.max(0)[2:] > (width + 0.5, height + 0.5)).any():
            raise ClipkitError(
                f"{path} is {width} x {height} pixels, and the teacher store {self.store.folder} has boxes beyond: it "
                "was made from another image of that name"
            )
        return regions

    def __repr__(self) -> str:
        return f"TeacherRegions({self.store!r}, {self.transforms})"


def _homography(results: Mapping[str, Any]) -> np.ndarray:
    found = results.get("homography_matrix")
    return np.eye(3) if found is None else np.asarray(found, np.float64)


def _ground_truth(results: Mapping[str, Any]) -> np.ndarray:
    boxes = results.get("gt_bboxes")
    boxes = getattr(boxes, "tensor", boxes)
    return np.zeros((0, 4)) if boxes is None else np.array(torch.as_tensor(boxes).tolist()).reshape(-1, 4)


def _check_still(step: Any, before: np.ndarray, after: np.ndarray) -> None:
    """A step that noted no movement may drop or add ground truth, but some of it must be where it was."""
    if len(before) and len(after) and np.abs(after[:, None] - before[None]).max(-1).min() > 1e-3:
        raise ClipkitError(
            f"TeacherRegions: {type(step).__name__} moves boxes and does not note it in homography_matrix, so stored "
            "regions cannot follow; leave it out, or use mmdet's Resize, RandomFlip, RandomCrop, Rotate, …"
        )
