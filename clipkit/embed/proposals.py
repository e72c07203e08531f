"""Where `clipkit precompute` gets its boxes from: a file, or contrast; a detector's are in `clipkit.detection.rpn`.

Each is called with an image and its pixels and gives boxes `(M, 4)` x1 y1 x2 y2 and scores `(M,)`; its `key` is what
they depend on, for the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clipkit.data import sliding_boxes
from clipkit.data.proposals import ImageFile, read_proposals
from clipkit.errors import ClipkitError, some
from clipkit.store import hash_file

Found = tuple[np.ndarray, np.ndarray]


class RegionSource(Protocol):
    """What proposes boxes. `pixels` are `(H, W, 3)` uint8 RGB."""

    key: dict[str, Any]

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found: ...


class FileProposals:
    """Boxes of a file, see `clipkit.data.proposals`.

    Attributes:
        missing: names of the images that the file does not have; they get no boxes.
    """

    def __init__(self, path: str | Path, images: Sequence[ImageFile], folder: str | Path) -> None:
        proposals = read_proposals(path)
        self.key = {"from": "file", "sha256": hash_file(path)}
        # Looked up now, so that a file for another data set is found out before hours of work.
        self._found = {image.name: proposals.of(image, Path(folder)) for image in images}
        self.missing = [name for name, found in self._found.items() if found is None]
        if len(self.missing) == len(images):
            names = some(map(repr, proposals.by_key)) or "nothing"
            raise ClipkitError(
                f"{path}: has boxes for none of the {len(images)} images; it names {names}, the images are named "
                f"{images[0].name!r}, …"
            )

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found:
        return self._found[image.name] or (np.zeros((0, 4)), np.zeros(0))


class ContrastProposals:
    """Sliding boxes that stand out from their surround; needs no training. See `clipkit.data.sliding_boxes`."""

    def __init__(self, most: int) -> None:
        self.most = most
        names = ("RATIOS", "STEP", "SMALLEST", "STRIDE", "RING")
        self.key = {"from": "contrast", **{name.lower(): getattr(sliding_boxes, name) for name in names}}

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found:
        return sliding_boxes.propose(pixels, self.most)
