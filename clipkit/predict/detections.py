"""Objects that were found in an image, and the forms that other tools take them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.coco_results import as_coco_results
from clipkit.data.draw import used_entries, with_legend, with_sentence
from clipkit.data.draw_objects import draw_objects
from clipkit.data.formats import supervision
from clipkit.data.palette import label_colours
from clipkit.data.picture import Picture

HEIGHT = 320  # smaller pictures are enlarged to about this: one of 64 pixels would be smaller than its legend
NO_COLOUR = (128, 128, 128)  # of an object whose label says that there is none


@dataclass(repr=False)
class Detections(Picture):
    """One image's objects, best score first.

    Attributes:
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the image.
        scores: (n,) float32.
        labels: (n,) int64, indices into `names`.
        masks: (n, H, W) bool, or None where the model has no mask head.
        names: what the indices mean.
        size: (height, width) of the image.
        image: (H, W, 3) uint8, where they were found; None where it was not kept.
        sentence: what was asked, where that was a sentence: its pieces, and of each the index of its name, or None.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None
    names: tuple[str, ...]
    size: tuple[int, int]
    image: np.ndarray | None = None
    sentence: tuple[tuple[str, int | None], ...] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        height, width = self.size
        found = ", ".join(f"{count} {name}" for name, count in self.counts().items()) or "nothing"
        return f"Detections({width} x {height}: {found})"

    def above(self, score: float) -> Detections:
        """Those with at least this score."""
        kept = self.scores >= score
        masks = None if self.masks is None else self.masks[kept]
        return replace(self, boxes=self.boxes[kept], scores=self.scores[kept], labels=self.labels[kept], masks=masks)

    def counts(self) -> dict[str, int]:
        """Name -> number of objects, largest first; only labels that occur."""
        found = torch.bincount(self.labels, minlength=len(self.names)).tolist()
        order = sorted(range(len(self.names)), key=lambda i: -found[i])
        return {self.names[i]: found[i] for i in order if found[i]}

    def plot(self, beside: bool = False) -> Image.Image:
        """The image with boxes, masks, names and scores, the best on top, and a legend; `beside`: right of the photo.
        Without an image, on white."""
        photo = np.full((*self.size, 3), 255, np.uint8) if self.image is None else self.image
        return Image.fromarray(draw_detections(photo, self, beside))

    def polygons(self) -> list[list[np.ndarray]]:
        """Of each object the outlines of its mask's parts and their holes, (k, 2) x y in pixels; needs the extra
        `formats`.

        Raises:
            ClipkitError: there are no masks, or the package supervision is missing.
        """
        from clipkit.errors import ClipkitError

        if self.masks is None:
            raise ClipkitError("these detections are boxes: the model has no mask head, so that there are no polygons")
        return [supervision().mask_to_polygons(mask) for mask in self.masks.numpy()]

    def coco(self, image_id: Any) -> list[dict[str, Any]]:
        """COCO results: `image_id`, `category_id` (the label's place in `names`, from 1), `score`, `bbox` (x, y, w, h)
        and, where there are masks, `segmentation` (RLE)."""
        found: dict[str, Any] = {"bboxes": self.boxes, "scores": self.scores, "labels": self.labels}
        if self.masks is not None:
            found["masks"] = self.masks
        rows = as_coco_results(found)
        return [{"image_id": image_id, "category_id": row.pop("label") + 1, **row} for row in rows]

    def to_supervision(self) -> Any:
        """As `supervision.Detections`, for its annotators, trackers, zones and writers; needs the extra `formats`."""
        names = np.array([self.names[i] for i in self.labels.tolist()], dtype=str)
        return supervision().Detections(
            xyxy=self.boxes.numpy().reshape(-1, 4),
            mask=None if self.masks is None else self.masks.numpy(),
            confidence=self.scores.numpy(),
            class_id=self.labels.numpy(),
            data={"class_name": names},
        )


def draw_detections(image: np.ndarray, found: Detections, beside: bool = False) -> np.ndarray:
    """The image (H, W, 3) uint8 with the objects in their names' colours, and a legend."""
    colours = [colour or NO_COLOUR for colour in label_colours(found.names)]
    factor = max(1, round(HEIGHT / image.shape[0]))
    labels, scores = found.labels.tolist()[::-1], found.scores.tolist()[::-1]
    drawn = draw_objects(
        image,
        found.boxes.numpy()[::-1],
        [colours[i] for i in labels],
        [f"{found.names[i]} {score:.2f}" for i, score in zip(labels, scores)],
        None if found.masks is None else found.masks.numpy()[::-1],
        factor,
    )
    if beside:
        photo = image.repeat(factor, axis=0).repeat(factor, axis=1)
        drawn = np.concatenate([photo, np.full((len(photo), 6, 3), 255, np.uint8), drawn], axis=1)
    if found.sentence is not None:
        return with_sentence(drawn, [(text, None if i is None else colours[i]) for text, i in found.sentence])
    return with_legend(drawn, used_entries([np.array(labels, dtype=np.int64)], found.names, colours))


def name_all(names: Sequence[str], count: int) -> tuple[str, ...]:
    """At least `count` names: `class 3` for a label without one, as all are where the checkpoint of a closed-set
    detector does not say its classes."""
    return (*names, *(f"class {i}" for i in range(len(names), count)))
