"""Pictures of detected objects: masks, boxes, names and scores. Plain Pillow, RGB uint8 arrays in and out."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .draw import PAPER, Colour


def draw_objects(
    image: np.ndarray,
    boxes: np.ndarray,
    colours: Sequence[Colour],
    texts: Sequence[str],
    masks: np.ndarray | None = None,
    factor: int = 1,
    alpha: float = 0.45,
) -> np.ndarray:
    """The image with its objects, the last one on top.

    Args:
        image: (H, W, 3) uint8.
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        colours, texts: one an object; the text stands in the box's upper left corner, above a small box; '' for none.
        masks: (n, H, W) bool, or None.
        factor: whole-number enlargement, so that text is readable on small images.
        alpha: how much of a mask's colour covers the image.

    Returns: (factor * H, factor * W, 3) uint8.
    """
    painted = image.astype(np.float32)
    for mask, colour in zip(masks if masks is not None else (), colours):
        painted[mask] = (1 - alpha) * painted[mask] + alpha * np.array(colour, np.float32)
    canvas = Image.fromarray(painted.astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1))
    draw = ImageDraw.Draw(canvas)
    size = max(11, min(canvas.size) // 40)
    font = ImageFont.load_default(size=size)
    line = max(1, size // 6)
    for box, colour in zip(np.asarray(boxes, float) * factor, colours):
        draw.rectangle(tuple(np.clip(box, 0, [canvas.width - 1, canvas.height - 1] * 2)), outline=colour, width=line)
    # Names after all boxes, so that no box crosses one.
    for box, colour, text in zip(np.asarray(boxes, float) * factor, colours, texts):
        if text:
            x = min(max(box[0], 0), max(canvas.width - font.getlength(text) - 4, 0))
            above = box[3] - box[1] < 3 * size  # a name inside would hide what is there
            y = min(max(box[1] - (size + 4) * above, 0), canvas.height - size - 4)
            draw.rectangle((x, y, x + font.getlength(text) + 4, y + size + 3), fill=colour)
            draw.text((x + 2, y), text, fill=_readable(colour), font=font)
    return np.asarray(canvas)


def _readable(colour: Colour) -> Colour:
    """White on dark colours, black on light ones."""
    red, green, blue = colour
    return PAPER if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else (0, 0, 0)
