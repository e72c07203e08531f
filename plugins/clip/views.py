"""Random crops of images, as training without a network in the loop needs them: each one an image of its own."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image
from torch import Tensor

from clipkit.data.image_folder import LabelledImages

AREA, RATIO = (0.5, 1.0), (3 / 4, 4 / 3)  # Tip-Adapter's and CoOp's random crops


class CroppedView(LabelledImages):
    """Each image as a random crop, mirrored half of the time; a function of the image and of the view's number.

    Args:
        images: the set.
        number: of the view, from 1.
        mirror: False where left and right mean something.
    """

    def __init__(self, images: LabelledImages, number: int, mirror: bool = True) -> None:
        self.whole, self.number, self.mirror = images, number, mirror
        self.names, self.labels = images.names, images.labels

    def identify(self, index: int) -> str:
        return f"{self.whole.identify(index)}#{self.number}{'m' if self.mirror else ''}"

    def read(self, index: int) -> np.ndarray:
        seed = int.from_bytes(
            hashlib.sha256(self.identify(index).encode("utf-8", "surrogateescape")).digest()[:8], "little"
        )
        random = np.random.default_rng(seed)
        picture = Image.fromarray(np.ascontiguousarray(self.whole.read(index)))
        area = picture.width * picture.height * random.uniform(*AREA)
        ratio = np.exp(random.uniform(*np.log(RATIO)))
        width = min(max(round((area * ratio) ** 0.5), 1), picture.width)
        height = min(max(round((area / ratio) ** 0.5), 1), picture.height)
        left, top = random.integers(picture.width - width + 1), random.integers(picture.height - height + 1)
        cut = picture.crop((left, top, left + width, top + height))
        if self.mirror and random.random() < 0.5:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # CLIP's own preprocessing cuts the long side: make it square first, so that all of the crop is seen.
        side = max(width, height)
        return np.asarray(cut.resize((side, side), Image.Resampling.BICUBIC))


def all_views(stack: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings `(V, M, D)` of V views and labels `(M,)` -> `(V · M, D)` and `(V · M,)`."""
    return stack.flatten(0, 1), labels.repeat(len(stack))
