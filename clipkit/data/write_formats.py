"""Writing labelled sets so that other tools, and `read_labelled`, read them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.errors import ClipkitError, did_you_mean
from clipkit.files import write_text, writing

from .annotations import LabelledImage, LabelledSet
from .coco_results import from_coco_mask
from .draw import save_indexed_png
from .formats import FORMATS, supervision
from .palette import label_colours

UNLABELLED = 255


def write_labelled(found: LabelledSet, folder: str | Path, kind: str) -> None:
    """Writes a set in a format. COCO's file names its images by their path from `image_root`; the other formats find
    them by their place, so that they are copied into it.

    Args:
        found: masks are COCO's RLE or polygons; images of equal stem are refused.
        kind: one of `FORMATS`. VOC has whole pixels, counted from 1, and a box of one pixel's width is read as having
            none; YOLO shares of the image with five decimals, and outlines instead of boxes where there are masks;
            masks need masks, hold 255 where there is no label, and where two objects overlap the later one.

    Raises:
        ClipkitError: no such format, or the set does not fit it.
    """
    folder = Path(folder)
    if kind not in FORMATS:
        raise ClipkitError(f'unknown format "{kind}"; {did_you_mean(kind, FORMATS)}')
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in found.classes))
    if kind == "coco":
        _write_coco(found, folder)
        return
    stems = [image.path.stem for image in found.images]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None) if len(set(stems)) < len(stems) else None
    if twice is not None:
        raise ClipkitError(f'{folder}: {kind} names files by their image, and two are called "{twice}": rename one')
    {"yolo": _write_yolo, "voc": _write_voc, "masks": _write_masks}[kind](found, folder)


def _write_coco(found: LabelledSet, folder: Path) -> None:
    images: list[dict] = []
    annotations: list[dict] = []
    root = image_root(found)
    for number, image in enumerate(found.images, 1):
        name = Path(os.path.abspath(image.path)).relative_to(root).as_posix()
        images.append({"id": number, "file_name": name, "width": image.width, "height": image.height})
        for item in image.objects:
            x1, y1, x2, y2 = item.box
            row: dict[str, Any] = {"id": len(annotations) + 1, "image_id": number, "category_id": item.label + 1}
            row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(item.crowd)}
            row["area"] = (x2 - x1) * (y2 - y1)
            if item.mask is not None:
                row["segmentation"] = item.mask
                row["area"] = int(from_coco_mask(item.mask, image.height, image.width).sum())
            if item.score is not None:
                row["score"] = item.score
            annotations.append(row)
    categories = [{"id": i, "name": name} for i, name in enumerate(found.classes, 1)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    write_text(folder / "annotations.json", json.dumps(content, ensure_ascii=False) + "\n")


def image_root(found: LabelledSet) -> Path:
    """The folder that all images lie below."""
    return Path(os.path.commonpath([os.path.dirname(os.path.abspath(image.path)) for image in found.images] or ["."]))


def _write_yolo(found: LabelledSet, folder: Path) -> None:
    supervision()
    from supervision.dataset.formats.yolo import detections_to_yolo_annotations, save_data_yaml

    images, labels = _make(folder, "images", "labels")
    for image in found.images:
        lines = detections_to_yolo_annotations(
            _as_supervision(image), (image.height, image.width), approximation_percentage=0.0
        )
        write_text(labels / f"{image.path.stem}.txt", "".join(f"{line}\n" for line in lines))
        _copy(image.path, images)
    with writing(folder / "data.yaml") as partial:
        save_data_yaml(str(partial), list(found.classes))


def _write_voc(found: LabelledSet, folder: Path) -> None:
    supervision()
    from supervision.dataset.formats.pascal_voc import detections_to_pascal_voc

    images, labels, lists = _make(folder, "JPEGImages", "Annotations", "ImageSets/Main")
    for image in found.images:
        xml = detections_to_pascal_voc(
            _as_supervision(image), list(found.classes), image.path.name, (image.height, image.width, 3),
            approximation_percentage=0.0,
        )  # fmt: skip
        write_text(labels / f"{image.path.stem}.xml", xml)
        _copy(image.path, images)
    write_text(lists / "train.txt", "".join(f"{image.path.stem}\n" for image in found.images))


def _write_masks(found: LabelledSet, folder: Path) -> None:
    if len(found.classes) > UNLABELLED:
        raise ClipkitError(f"{folder}: masks of 8 bits hold 255 classes, these are {len(found.classes)}")
    images, masks = _make(folder, "images", "masks")
    colours = label_colours(found.classes)
    for image in found.images:
        save_indexed_png(paint_objects(image), masks / f"{image.path.stem}.png", len(colours), colours)
        _copy(image.path, images)


def paint_objects(image: LabelledImage) -> np.ndarray:
    """(height, width) uint8: the label of the last object on each pixel, `UNLABELLED` elsewhere.

    Raises:
        ClipkitError: an object has no mask.
    """
    ids = np.full((image.height, image.width), UNLABELLED, np.uint8)
    for item in image.objects:
        if item.mask is None:
            raise ClipkitError(f"{image.path}: an object has a box but no mask: take the format coco, voc or yolo")
        ids[from_coco_mask(item.mask, image.height, image.width)] = item.label
    return ids


def _make(folder: Path, *names: str) -> Sequence[Path]:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return [folder / name for name in names]


def _copy(source: Path, folder: Path) -> None:
    if not (folder / source.name).exists():
        with writing(folder / source.name) as partial:
            shutil.copyfile(source, partial)


def _as_supervision(image: LabelledImage) -> Any:
    objects = image.objects
    masks = [item.mask for item in objects]
    decoded = [from_coco_mask(mask, image.height, image.width) for mask in masks if mask is not None]
    return supervision().Detections(
        xyxy=np.array([item.box for item in objects], dtype=np.float32).reshape(-1, 4),
        class_id=np.array([item.label for item in objects], dtype=int),
        mask=np.stack(decoded) if objects and len(decoded) == len(objects) else None,
    )
