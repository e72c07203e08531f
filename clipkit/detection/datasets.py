"""Detection data sets of strangers for mmdet's pipelines: COCO's and LVIS's JSON, Pascal VOC's XML, YOLO, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from clipkit.data import palette
from clipkit.data.annotations import LabelledSet, read_coco, read_voc
from clipkit.data.class_counts import class_counts
from clipkit.data.formats import read_labelled
from clipkit.engine.class_names import read_classes
from clipkit.engine.pipeline_errors import named_pictures
from clipkit.engine.registry import DATASETS
from clipkit.engine.traps import update_metainfo
from clipkit.errors import ClipkitError, some


class _ObjectsDataset(BaseDataset):
    """What the two formats share: base and novel classes, and what happens to bad entries.

    Not mmdet's base class, which adds nothing that is used here: so that mmdet is imported by those who detect only.
    """

    def __init__(
        self,
        classes: str | Sequence[str] | None,
        base_classes: str | Sequence[str] | None,
        labelled: str,
        on_bad: str,
        **kwargs: Any,
    ):
        if on_bad not in ("raise", "skip"):
            raise ClipkitError(f"on_bad='{on_bad}' is unknown; known: raise, skip")
        if labelled not in ("all", "base"):
            raise ClipkitError(f"labelled='{labelled}' is unknown; known: all, base")
        self.wanted = None if classes is None else read_classes(classes)
        self.base = None if base_classes is None else read_classes(base_classes)
        self.labelled, self.on_bad = labelled, on_bad
        super().__init__(**kwargs)

    def read(self) -> tuple[LabelledSet, str]:
        """The set, and what to call it in a message."""
        raise NotImplementedError

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels in an image, for mmdet's `ClassBalancedDataset`."""
        return [item["bbox_label"] for item in self.get_data_info(idx)["instances"]]

    def load_data_list(self) -> list[dict]:
        """Images and objects in mmdet's form."""
        try:
            found, name = self.read()
        except FileNotFoundError as error:
            hint = "say where the data lies by --cfg-options variables.…=PATH, see the config's header"
            raise ClipkitError(f"{error}; {hint}") from None
        if found.problems:
            message = f"{name}: {found.problems.summary()}"
            if self.on_bad == "raise":
                raise ClipkitError(f"{message}. Repair them, or leave them out with on_bad=skip")
            print_log(f"left out: {message}", "current")
        if found.notes:
            print_log(f"{name}: {found.notes.summary()}", "current")
        if not found.images:
            raise ClipkitError(f"{name}: no usable image")
        if found.lacking:
            print_log(found.without(name, training=not self.test_mode), "current")
        update_metainfo(self, class_info(found.classes, self.base))
        base = self.metainfo["base_classes"]
        kept = {i for i, c in enumerate(found.classes) if self.labelled == "all" or c in base}
        counts = [count if i in kept else 0 for i, count in enumerate(found.counts())]
        order = sorted(kept)
        shown = class_counts([found.classes[i] for i in order], [counts[i] for i in order], "boxes")
        line = f"{name}: {len(found.images):,} images, {shown}"
        if not any(counts):
            raise ClipkitError(f"{line}: nothing to learn from or to find; look at the classes and at the annotations")
        print_log(line, "current")
        return [
            {
                "img_path": str(image.path),
                "img_id": image.id,
                "height": image.height,
                "width": image.width,
                "instances": [
                    {
                        "bbox": list(item.box),
                        "bbox_label": item.label,
                        "ignore_flag": int(item.crowd),
                        **({} if item.mask is None else {"mask": item.mask}),
                    }
                    for item in image.objects
                    if item.label in kept
                ],
            }
            for image in found.images
        ]

    def prepare_data(self, idx: int) -> Any:
        """An item through the pipeline; whatever a transform stumbles over names the picture."""
        return named_pictures(super().prepare_data, self.get_data_info, idx)


@DATASETS.register_module()
class CocoJsonDataset(_ObjectsDataset):
    """A JSON in COCO's or LVIS's format; no lvis package.

    Args:
        ann_file, images: the file, and the folder of the images; below `data_root` if that is given.
        classes: those wanted, in the order of the labels: names, or see `read_classes`; None: all of the file.
        base_classes: those that training may see; None: all.
        labelled: 'base' leaves objects of novel classes out (their images stay: novel objects are there, unlabelled),
            'all' for evaluation.
        check: decode every image once at the start.
        on_bad: `raise`, or `skip` to leave bad images and objects out and print how many of each kind.
        masks: objects without a mask are bad.
        **kwargs: of mmengine's `BaseDataset` (`pipeline`, `indices`, `test_mode`, …).

    Raises:
        ClipkitError: one line that counts what is wrong and names the first ones.
    """

    def __init__(
        self,
        ann_file: str,
        images: str,
        classes: str | Sequence[str] | None = None,
        base_classes: str | Sequence[str] | None = None,
        labelled: str = "all",
        check: bool = True,
        on_bad: str = "raise",
        masks: bool = False,
        data_root: str = "",
        **kwargs: Any,
    ):
        root = Path(str(data_root))
        self.json, self.images = root / str(ann_file), root / str(images)  # a folder may be called 2024
        self.check, self.masks = check, masks
        super().__init__(classes, base_classes, labelled, on_bad, **kwargs)

    def read(self) -> tuple[LabelledSet, str]:
        return read_coco(self.json, self.images, self.wanted, self.check, self.masks), str(self.json)


@DATASETS.register_module()
class VocXmlDataset(_ObjectsDataset):
    """Pascal VOC's layout: `ImageSets/Main/<split>.txt`, `Annotations`, `JPEGImages`.

    Args:
        data_root: the folder that holds the three.
        split: 'train', 'val', …
        classes: in the order of the labels.
        rename: name in the XML -> class, where the two differ.
        base_classes, labelled, check, on_bad, **kwargs: see `CocoJsonDataset`.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        classes: str | Sequence[str],
        rename: Mapping[str, str] | None = None,
        base_classes: str | Sequence[str] | None = None,
        labelled: str = "all",
        check: bool = True,
        on_bad: str = "raise",
        **kwargs: Any,
    ):
        self.root, self.split, self.rename, self.check = Path(str(data_root)), str(split), rename, check
        super().__init__(classes, base_classes, labelled, on_bad, **kwargs)

    def read(self) -> tuple[LabelledSet, str]:
        return read_voc(
            self.root, self.split, self.wanted or [], self.rename, self.check
        ), f"{self.root} ({self.split})"


@DATASETS.register_module()
class FormatDataset(_ObjectsDataset):
    """A folder in one of the formats of `clipkit.data.formats`: what other tools and `clipkit label` write. Its masks
    are given too, where it has any.

    Args:
        data_root: the set's folder.
        format: 'coco', 'voc', 'yolo' or 'masks', whose connected regions are the objects.
        split: the part of the set; None: the whole.
        classes: in the order of the labels; None: all of the set.
        rename: name in the set -> class, where the two differ.
        images: the folder of COCO's images, where it is none of the usual places.
        base_classes, labelled, check, on_bad, **kwargs: see `CocoJsonDataset`.
    """

    def __init__(
        self,
        data_root: str,
        format: str,
        split: str | None = None,
        classes: str | Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        images: str | None = None,
        base_classes: str | Sequence[str] | None = None,
        labelled: str = "all",
        check: bool = True,
        on_bad: str = "raise",
        **kwargs: Any,
    ):
        self.root, self.format, self.split, self.rename = Path(data_root), format, split, rename
        self.images, self.check = images, check
        super().__init__(classes, base_classes, labelled, on_bad, **kwargs)

    def read(self) -> tuple[LabelledSet, str]:
        found = read_labelled(
            self.root, self.format, self.split, self.wanted, self.rename, self.check, self.images or None
        )
        return found, f"{self.root} ({self.format})"


def class_info(classes: Sequence[str], base: Sequence[str] | None) -> dict[str, Any]:
    """`metainfo` of a data set: `classes`, `base_classes`, `novel_classes` (mmdet's words) and `palette`.

    Raises:
        ClipkitError: a base class that is no class.
    """
    chosen = set(classes if base is None else base)
    if unknown := sorted(chosen - set(classes)):
        raise ClipkitError(f"base_classes has {some(unknown, 5)}, which classes lacks")
    return {
        "classes": tuple(classes),
        "base_classes": tuple(c for c in classes if c in chosen),
        "novel_classes": tuple(c for c in classes if c not in chosen),
        "palette": palette(len(classes)),
    }
