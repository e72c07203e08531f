"""Pictures that are much wider than high, or higher than wide: CLIP sees their centre, and only that is enlarged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from PIL import Image
from torch import Tensor

FLAT = 16  # sides; pictures less flat than this go through CLIP's own preprocessing untouched
FILTERS = {"bilinear": Image.Resampling.BILINEAR}  # bicubic else, as open_clip has it


def without_excess(
    transform: Callable[[Any], Tensor], mode: str, size: tuple[int, int], interpolation: str, image: Any
) -> Tensor:
    """`transform(image)` of a PIL image, at a bounded cost.

    CLIP's `shortest` enlarges the short side to that of its square and then cuts out the centre: of 30,000 x 1 pixels
    it would make 6.7 million columns to keep 224. So only these are made. `longest` shrinks the short side of such a
    picture to nothing: it is made one pixel of the result high.

    Args:
        size: height and width of what `transform` gives.
    """
    width, height = image.size
    short, long = sorted((width, height))
    if long > FLAT * short and mode == "shortest":
        # The longer side is rounded down and half of the rest cut off, as torchvision's Resize and CenterCrop do it.
        side = size[1] if width > height else size[0]
        whole = int(long * (size[0] if width > height else size[1]) / short)
        first = round((whole - side) / 2)
        near, far = (place * long / whole for place in (first, first + side))
        seen = (near, 0, far, height) if width > height else (0, near, width, far)
        image = image.resize(size[::-1], FILTERS.get(interpolation, Image.Resampling.BICUBIC), box=seen)
    elif mode == "longest" and round(short * min(size) / long) < 1:
        least = math.ceil(long / min(size))
        image = image.resize((width, least) if width > height else (least, height))
    return transform(image)
