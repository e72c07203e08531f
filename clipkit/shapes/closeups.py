"""Close-ups: single objects cut out of crowded scenes, as a detector's regions show them."""

from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor

from ._captions import Item, caption
from ._words import SHAPES
from .render import Scenes, render

SCENE = 128  # pixels; the scenes of detection
ENLARGED = (0.9, 2.1)
"""Least and greatest side of a close-up in sides of its object's box: ViLD reads regions at 1 and 1.5."""
MIDDLE = 0.2  # a radius that captions call neither small nor large: a close-up does not show how large its object is


def closeups(batch: int, *, seed: int = 0, **options) -> tuple[Tensor, list[str]]:
    """One object from each of `batch` scenes, and a caption that tells of it alone.

    Args:
        seed: equal seeds give equal close-ups.
        **options: see `_cut`.

    Returns:
        images (batch, 3, size, size) float32 RGB in [0, 1], and captions.
    """
    scenes, chosen, images = _cut(batch, seed=seed, **options)
    random = Random(seed)
    captions = []
    for i, n in enumerate(chosen.tolist()):
        stuff = tuple(dict.fromkeys(scenes.stuff[i].tolist()))
        words = (int(scenes.shape[i, n]), int(scenes.colour[i, n]), int(scenes.texture[i, n]))
        captions.append(caption([Item(*words, 0.5, 0.5, MIDDLE)], stuff, random))
    return images, captions


def labelled_closeups(batch: int, *, seed: int = 0, **options) -> tuple[Tensor, Tensor]:
    """The same images, and (batch,) int64 ids of the objects' colour-shape names in `class_names()`."""
    scenes, chosen, images = _cut(batch, seed=seed, **options)
    rows = torch.arange(batch)
    return images, scenes.colour[rows, chosen] * len(SHAPES) + scenes.shape[rows, chosen]


def _cut(
    batch: int, *, seed: int, size: int = 64, objects: tuple[int, int] = (2, 5), **options
) -> tuple[Scenes, Tensor, Tensor]:
    """The scenes, which object was taken from each (batch,), and its close-ups (batch, 3, size, size).

    Args:
        objects: least and greatest number of objects in a scene; the others stay in sight where they are near.
        **options: split, subset and style, see `render`.
    """
    scenes = render(batch, size=SCENE, seed=seed, objects=objects, **options)
    generator = torch.Generator().manual_seed(seed)
    # Among the objects that can be seen; of a scene that shows none, the first.
    chosen = (torch.rand(scenes.present.shape, generator=generator) * scenes.present).argmax(1)
    boxes = scenes.boxes[torch.arange(batch), chosen]
    low, high = ENLARGED
    sides = low + (high - low) * torch.rand(batch, generator=generator)
    crops = [_resized(image, box, side, size) for image, box, side in zip(scenes.images, boxes, sides.tolist())]
    return scenes, chosen, torch.cat(crops)


def _resized(image: Tensor, box: Tensor, side: float, size: int) -> Tensor:
    """What a box (4,) enlarged `side` times about its centre holds of an image (3, H, W), as (1, 3, size, size): whole
    pixels within the image, resized as a teacher's crops are (`clipkit.adapters.CLIPTeacher`)."""
    middle, half = (box[:2] + box[2:]) / 2, side * (box[2:] - box[:2]) / 2
    x1, y1 = (middle - half).floor().clamp(0, SCENE - 1).int().tolist()
    x2, y2 = (middle + half).ceil().clamp(1, SCENE).int().tolist()
    crop = image[None, :, y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    return F.interpolate(crop, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
