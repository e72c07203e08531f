"""A folder of images and a folder of masks as a data set for mmseg's pipelines."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from clipkit.data import pair_folders, palette
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError
from clipkit.text import Vocabulary


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
        **kwargs,
    ):
        if on_bad not in ("raise", "skip"):
            raise ClipkitError(f"on_bad='{on_bad}' is unknown; known: raise, skip")
        if isinstance(classes, str):
            names = list(Vocabulary.from_file(classes).names)
        else:
            names = [str(name) for name in classes]
        if len(names) > 255:
            raise ClipkitError(
                f"FolderSegDataset: {len(names)} classes; its masks are read with 8 bits, 255 for ignored, so that 255 "
                "is the most: clipkit.segmentation.public_datasets.WideSegDataset reads 16 bits"
            )
        root = Path(data_root or "")
        self.image_dir, self.mask_dir = root / image_dir, root / mask_dir
        self.mask_suffix, self.check, self.on_bad = mask_suffix, check, on_bad
        metainfo: dict = {"classes": tuple(names), "palette": palette(len(names))}
        if seen is not None:
            metainfo["seen"] = [name in set(seen) for name in names]
        super().__init__(metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Pairs of paths in mmseg's form."""
        classes = self.metainfo["classes"]
        try:
            pairs = pair_folders(
                self.image_dir,
                self.mask_dir,
                self.mask_suffix,
                num_classes=len(classes),
                ignore_index=self.ignore_index,
                check=self.check,
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
        return [
            {
                "img_path": str(image),
                "seg_map_path": str(mask),
                "label_map": self.label_map,
                "reduce_zero_label": False,
                "seg_fields": [],
            }
            for image, mask in pairs.good
        ]
