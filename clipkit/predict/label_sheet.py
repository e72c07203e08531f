"""Some photos of a labelled set with what was found in them, in one picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipkit.data import grid, read_image
from clipkit.data.annotations import LabelledImage, LabelledSet
from clipkit.data.coco_results import from_coco_mask
from clipkit.data.draw import INK, PAPER, Colour, with_legend
from clipkit.data.draw_objects import draw_objects
from clipkit.data.palette import label_colours
from clipkit.errors import shown

SHOWN, COLUMNS, SIDE, CAPTION = 20, 4, 320, 18  # photos, in a row; pixels of a photo's longer side, of its name's line
NAMED = 5  # objects of a photo that have their names written on them: more would cover it, and the colours say as much


def label_sheet(found: LabelledSet) -> np.ndarray:
    """(H, W, 3) uint8: `SHOWN` photos, spread evenly over the set, with their objects and file names; below them each
    class's colour and how often the whole set has it."""
    colours = [colour or INK for colour in label_colours(found.classes)]
    chosen = np.unique(np.linspace(0, len(found.images) - 1, min(SHOWN, len(found.images))).round().astype(int))
    tiles = [_tile(found.images[i], found.classes, colours) for i in chosen.tolist()]
    counts = Counter(item.label for image in found.images for item in image.objects)
    entries = [(f"{name}: {counts[i]}", colours[i]) for i, name in enumerate(found.classes)]
    return with_legend(grid([tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]), entries)


def _tile(image: LabelledImage, names: Sequence[str], colours: Sequence[Colour]) -> np.ndarray:
    scale = SIDE / max(image.width, image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    resampling = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    photo = Image.fromarray(read_image(image.path)).resize(size, resampling)
    objects = sorted(image.objects, key=lambda item: item.score or 0.0)  # the surest on top
    masks = [
        np.asarray(Image.fromarray(from_coco_mask(item.mask, image.height, image.width)).resize(size))
        for item in objects
        if item.mask is not None
    ]
    said = [f"{names[item.label]} {item.score or 0:.2f}" for item in objects]
    drawn = draw_objects(
        np.asarray(photo),
        np.array([item.box for item in objects]).reshape(-1, 4) * scale,
        [colours[item.label] for item in objects],
        said if len(said) <= NAMED else [""] * len(said),
        np.stack(masks) if objects and len(masks) == len(objects) else None,
    )
    canvas = Image.new("RGB", (size[0], size[1] + CAPTION), PAPER)
    canvas.paste(Image.fromarray(drawn), (0, 0))
    font = ImageFont.load_default(size=12)
    ImageDraw.Draw(canvas).text((2, size[1] + 2), shown(image.path.name, 48), fill=INK, font=font)
    return np.asarray(canvas)
