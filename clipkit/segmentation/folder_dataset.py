"""A folder of images and a folder of masks as a data set for mmseg's pipelines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from clipkit.data import pair_folders, palette
from clipkit.data.class_counts import class_counts
from clipkit.data.pairs import MaskIds
from clipkit.engine.class_names import read_classes
from clipkit.engine.pipeline_errors import named_pictures
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError


@DATASETS.register_module()
class FolderSegDataset(BaseSegDataset):
    """`image_dir/x.jpg` with `mask_dir/x.png`. Masks hold ids: the place of the class in the list, from 0.

    Args:
        image_dir, mask_dir: folders; subfolders must agree, endings may differ.
        classes: names in the order of the ids, or a label file (one class a line).
        data_root: put before `image_dir` and `mask_dir`.
        seen: names of the classes that the training images hold, for `SeenUnseenIoU`; default all.
        mask_suffix: what mask names have after the image's name.
        check: read every file once at the start (a few milliseconds each) and say what is wrong.
        on_bad: `raise`, or `skip` to leave bad pairs out and print what was left out.
        mask_values: the value of each class in the masks, in the order of the names: `[0, 255]` for black-and-white
            masks of a background and one class. Default: 0, 1, ….
        reduce_zero_label: 0 counts nowhere, and value i is class i - 1.
        **kwargs: of mmseg's `BaseSegDataset` (`pipeline`, `ignore_index`, `indices`, `test_mode`, …).

    Raises:
        ClipkitError: files are missing, unreadable or do not fit: one line that counts them and names the first ones.
    """

    def __init__(
        self,
        image_dir: str,
        mask_dir: str,
        classes: str | Sequence[str],
        data_root: str | None = None,
        seen: Sequence[str] | None = None,
        mask_suffix: str = "",
        check: bool = True,
        on_bad: str = "raise",
        mask_values: Sequence[int] | None = None,
        **kwargs: Any,
    ):
        if on_bad not in ("raise", "skip"):
            raise ClipkitError(f"on_bad='{on_bad}' is unknown; known: raise, skip")
        names = read_classes(classes)
        if len(names) > 255:
            raise ClipkitError(
                f"FolderSegDataset: {len(names)} classes; its masks are read with 8 bits, 255 for ignored, so that 255 "
                "is the most: clipkit.segmentation.public_datasets.WideSegDataset reads 16 bits"
            )
        root = Path(str(data_root or ""))
        self.image_dir, self.mask_dir = root / str(image_dir), root / str(mask_dir)  # a folder may be called 2024
        self.mask_suffix, self.check, self.on_bad = mask_suffix, check, on_bad
        self.mask_values = None if mask_values is None else list(mask_values)
        metainfo: dict = {"classes": tuple(names), "palette": palette(len(names))}
        if seen is not None:
            metainfo["seen"] = [name in set(seen) for name in names]
        super().__init__(metainfo=metainfo, **kwargs)

    def get_label_map(self, new_classes: Sequence | None = None) -> dict[int, int] | None:
        """What mmseg's loader shall put for the masks' values."""
        return None if self.mask_values is None else {value: i for i, value in enumerate(self.mask_values)}

    def load_data_list(self) -> list[dict]:
        """Pairs of paths in mmseg's form."""
        classes = self.metainfo["classes"]
        ids = MaskIds(len(classes), self.ignore_index, self.reduce_zero_label, self.mask_values)
        try:
            pairs = pair_folders(
                self.image_dir,
                self.mask_dir,
                self.mask_suffix,
                num_classes=len(classes),
                ignore_index=self.ignore_index,
                check=self.check,
                reduce_zero_label=self.reduce_zero_label,
                mask_values=self.mask_values,
            )
        except FileNotFoundError as error:
            hint = "say where the data lies by --cfg-options variables.…=PATH, see the config's header"
            raise ClipkitError(f"{error}; {hint}") from None
        if pairs.problems:
            message = f"{self.image_dir} and {self.mask_dir}: {pairs.summary()}"
            if self.on_bad == "raise":
                raise ClipkitError(f"{message}. Repair them, or leave them out with on_bad=skip")
            print_log(f"left out: {message}", "current")
        if pairs.turned:
            line = f"{len(pairs.turned)} images are turned, as their EXIF says ({pairs.turned[0].name}, …)"
            print_log(f"{self.image_dir}: {line}; their masks must be upright: clipkit browse shows both", "current")
        if not pairs.good:
            raise ClipkitError(f"{self.image_dir}: no usable pair of image and mask")
        if self.check:
            self._say_counts(ids.count(pairs.values), len(pairs.good))
        return [
            {
                "img_path": str(image),
                "seg_map_path": str(mask),
                "label_map": self.label_map,
                "reduce_zero_label": self.reduce_zero_label,
                "seg_fields": [],
            }
            for image, mask in pairs.good
        ]

    def _say_counts(self, counts: Sequence[int], masks: int) -> None:
        line = f"{self.mask_dir}: {masks} masks, {class_counts(self.metainfo['classes'], counts, 'pixels')}"
        if not any(counts):
            raise ClipkitError(f"{line}: every pixel is ignored; look at the masks' values and at the label file")
        print_log(line, "current")

    def prepare_data(self, idx: int) -> Any:
        """An item through the pipeline; whatever a transform stumbles over names the picture."""
        return named_pictures(super().prepare_data, self.get_data_info, idx)

    def full_init(self) -> None:
        """As mmengine's, once the pipeline agrees with the data set."""
        steps = [getattr(step, "reduce_zero_label", None) for step in self.pipeline.transforms]
        if any(said is not None and said != self.reduce_zero_label for said in steps):
            raise ClipkitError(
                "the pipeline's LoadAnnotations has another reduce_zero_label than FolderSegDataset: say "
                "dataset.reduce_zero_label=True and leave it out of the pipeline"
            )
        super().full_init()
