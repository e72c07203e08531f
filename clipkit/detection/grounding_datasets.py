"""Pictures with captions whose phrases have boxes, for mmdet's pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from clipkit.data.grounded import read_grounded
from clipkit.detection.prompts import Prompt
from clipkit.engine.pipeline_errors import named_pictures
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError


@DATASETS.register_module()
class GroundedCaptions(BaseDataset):
    """JSON lines, MDETR's JSON, or Flickr30k Entities' own files; see `clipkit.data.grounded.read_grounded`.

    The pipeline gets `instances` whose labels are their places, and `caption` with `caption_objects` for
    `GroundingPrompt`; in `test_mode` also `prompts` and `phrase_truth` for `PhraseRecall`.

    Args:
        ann_file, images: the file, and the folder of the pictures; below `data_root` if that is given.
        check: decode every picture once at the start.
        on_bad: `raise`, or `skip` to leave bad pictures, phrases and boxes out and print how many of each kind.
        **kwargs: of mmengine's `BaseDataset`.

    Raises:
        ClipkitError: one line that counts what is wrong and names the first ones.
    """

    def __init__(
        self, ann_file: str, images: str, data_root: str = "", check: bool = True, on_bad: str = "raise", **kwargs: Any
    ):
        if on_bad not in ("raise", "skip"):
            raise ClipkitError(f"on_bad='{on_bad}' is unknown; known: raise, skip")
        self.file, self.images = Path(str(data_root)) / str(ann_file), Path(str(data_root)) / str(images)
        self.check, self.on_bad = check, on_bad
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Pictures with at least one box, in mmdet's form."""
        try:
            found, problems = read_grounded(self.file, self.images, self.check)
        except FileNotFoundError as error:
            hint = "say where the data lies by --cfg-options variables.…=PATH, see the config's header"
            raise ClipkitError(f"{error}; {hint}") from None
        if problems:
            message = f"{self.file}: {problems.summary()}"
            if self.on_bad == "raise":
                raise ClipkitError(f"{message}. Repair them, or leave them out with on_bad=skip")
            print_log(f"left out: {message}", "current")
        usable = [image for image in found if image.boxes]
        if not usable:
            raise ClipkitError(f"{self.file}: no picture with a phrase and a box")
        boxes, phrases = sum(len(image.boxes) for image in usable), sum(len(image.phrases) for image in usable)
        print_log(f"{self.file}: {len(usable):,} pictures, {phrases:,} phrases, {boxes:,} boxes", "current")
        return [self._sample(i, image) for i, image in enumerate(usable)]

    def _sample(self, number: int, image: Any) -> dict[str, Any]:
        prompt = Prompt(image.caption, tuple(image.phrases))
        truth = [
            [list(box) for box, owners in zip(image.boxes, image.owners) if i in owners]
            for i in range(len(image.phrases))
        ]
        return {
            "img_path": str(image.path),
            "img_id": number,
            "width": image.size[0],
            "height": image.size[1],
            "caption": prompt,
            "caption_objects": image.owners,
            "instances": [{"bbox": list(box), "bbox_label": i, "ignore_flag": 0} for i, box in enumerate(image.boxes)],
            **({"prompts": [prompt], "phrase_truth": [truth]} if self.test_mode else {}),
        }

    def prepare_data(self, idx: int) -> Any:
        """An item through the pipeline; whatever a transform stumbles over names the picture."""
        return named_pictures(super().prepare_data, self.get_data_info, idx)
