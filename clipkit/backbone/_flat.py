"""Pictures that are much wider than high, or higher than wide: CLIP sees their centre, and only that is enlarged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

FLAT = 16  # sides; pictures less flat than this go through CLIP's own preprocessing untouched
KEPT = 4


def without_excess(transform: Callable[[Any], Tensor], mode: str, size: int, image: Any) -> Tensor:
    """`transform(image)` of a PIL image, at a bounded cost.

    CLIP's `shortest` enlarges the short side to `size` and then crops the centre: of 30,000 x 1 pixels it would make
    6.7 million columns to keep 224. So the centre is cut first, with room for the filter. `longest` shrinks the short
    side of such a picture to nothing: it is made one pixel of the result high.
    """
    width, height = image.size
    short, long = sorted((width, height))
    if long > FLAT * short and mode == "shortest":
        kept = KEPT * short + (long - KEPT * short) % 2  # so that the centre stays where it was
        start = (long - kept) // 2
        image = image.crop((start, 0, start + kept, height) if width > height else (0, start, width, start + kept))
    elif mode == "longest" and round(short * size / long) < 1:
        least = math.ceil(long / size)
        image = image.resize((width, least) if width > height else (least, height))
    return transform(image)
