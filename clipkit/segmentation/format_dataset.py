"""Own data in the formats of other tools as a data set for mmseg's pipelines."""

from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations

from clipkit.data import palette
from clipkit.data.class_counts import class_counts
from clipkit.data.formats import read_labelled
from clipkit.data.write_formats import paint_objects
from clipkit.engine.class_names import read_classes
from clipkit.engine.pipeline_errors import named_pictures
from clipkit.engine.registry import DATASETS, TRANSFORMS
from clipkit.errors import ClipkitError


@DATASETS.register_module()
class FormatSegDataset(BaseSegDataset):
    """A folder in one of the formats of `clipkit.data.formats` that has masks: COCO's polygons and RLE, YOLO's
    outlines, or masks of class ids. Its pipeline loads by `LoadObjectMasks`; pixels without an object are ignored.

    Args:
        root: the set's folder.
        format, split, images: see `clipkit.detection.datasets.FormatDataset`.
        classes: names in the order of the ids, or see `read_classes`; None: all of the set.
        seen: names of the classes that the training images hold, for `SeenUnseenIoU`; default all.
        check, on_bad, **kwargs: see `FolderSegDataset`.

    Raises:
        ClipkitError: one line that counts what is wrong and names the first ones.
    """

    def __init__(
        self,
        root: str,
        format: str,
        split: str | None = None,
        classes: str | Sequence[str] | None = None,
        images: str | None = None,
        seen: Sequence[str] | None = None,
        check: bool = True,
        on_bad: str = "raise",
        **kwargs: Any,
    ):
        if on_bad not in ("raise", "skip"):
            raise ClipkitError(f"on_bad='{on_bad}' is unknown; known: raise, skip")
        try:
            wanted = None if classes is None else read_classes(classes)
            self.found = read_labelled(root, format, split, wanted, None, check, images or None)
        except FileNotFoundError as error:
            hint = "say where the data lies by --cfg-options variables.…=PATH, see the config's header"
            raise ClipkitError(f"{error}; {hint}") from None
        if self.found.problems:
            message = f"{root} ({format}): {self.found.problems.summary()}"
            if on_bad == "raise":
                raise ClipkitError(f"{message}. Repair them, or leave them out with on_bad=skip")
            print_log(f"left out: {message}", "current")
        if self.found.notes:
            print_log(f"{root} ({format}): {self.found.notes.summary()}", "current")
        if self.found.lacking:
            training = not kwargs.get("test_mode", False)
            print_log(self.found.without(f"{root} ({format})", training), "current")
        boxes = [image.path for image in self.found.images if any(item.mask is None for item in image.objects)]
        if boxes or not self.found.images:
            what = f"{len(boxes)} images have boxes without masks, such as {boxes[0]}" if boxes else "no usable image"
            raise ClipkitError(f"{root} ({format}): {what}; boxes train detectors (vild/vild_folder.py)")
        names = self.found.classes
        line = f"{root} ({format}): {len(self.found.images):,} images, "
        line += class_counts(names, self.found.counts(), "objects")
        if not any(self.found.counts()):
            raise ClipkitError(f"{line}: nothing to learn from or to find; look at the classes and at the annotations")
        print_log(line, "current")
        metainfo: dict[str, Any] = {"classes": names, "palette": palette(len(names))}
        if seen is not None:
            metainfo["seen"] = [name in set(seen) for name in names]
        super().__init__(metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Paths and objects in mmseg's form."""
        shared = {"label_map": self.label_map, "reduce_zero_label": False}
        return [
            {"img_path": str(image.path), "labelled": image, "seg_fields": [], **shared} for image in self.found.images
        ]

    def prepare_data(self, idx: int) -> Any:
        """An item through the pipeline; whatever a transform stumbles over names the picture."""
        return named_pictures(super().prepare_data, self.get_data_info, idx)


@TRANSFORMS.register_module()
class LoadObjectMasks(LoadAnnotations):
    """`mmseg.LoadAnnotations` for `FormatSegDataset`: paints an image's objects as (H, W) ids, 255 elsewhere."""

    def _load_seg_map(self, results: dict) -> None:
        results["gt_seg_map"] = paint_objects(results.pop("labelled"))
        results["seg_fields"].append("gt_seg_map")
