"""A picture of a label map that explains itself: the photo beside it, names written on their regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from .draw import INK, PAPER, Colour, with_legend
from .palette import label_colours

Box = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SIDE = 800  # of the picture: enough for a screen, and a photo of 20 megapixels is drawn as quickly as a small one
_COARSE = 96  # side of the map on which the middle of a region is looked for
_SMALL = 0.002  # of the picture: regions below that get no name of their own


def label_picture(
    image: np.ndarray, labels: np.ndarray, names: Sequence[str], *, beside: bool = True, alpha: float = 0.6,
    film: bool = False,
) -> np.ndarray:  # fmt: skip
    """Photo (H, W, 3) uint8 and ids (H, W) -> RGB uint8 with the regions in their names' colours (`label_colours`),
    each name where its region is deepest; a name whose region is too small for it stands in a line below. In a `film`
    all names stand there, so that its frames have one size and no name jumps about."""
    longest = max(image.shape[:2])
    enlarged = max(1, min(round(320 / image.shape[0]), SIDE // longest))  # small pictures, by a whole number
    scale = SIDE / longest if longest > SIDE else enlarged
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    photo = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    ids = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(size, Image.Resampling.NEAREST))
    colours = label_colours(names)
    painted = _paint(np.asarray(photo), ids, colours, alpha)
    draw = ImageDraw.Draw(painted)
    font = ImageFont.load_default(size=max(12, min(size) // 28))
    below: list[int] = []
    written: list[Box] = []
    for i in range(len(names)) if film else sorted(set(np.unique(ids).tolist()), key=lambda i: -(ids == i).sum()):
        if not 0 <= i < len(names) or colours[i] is None:
            continue
        place = None if film else _middle(ids == i)
        if place is None or not _write(draw, font, names[i], place, size, written):
            below.append(i)
    rows = [np.asarray(photo), np.asarray(painted)] if beside else [np.asarray(painted)]
    whole = np.concatenate([np.pad(row, ((0, 0), (0, 6), (0, 0)), constant_values=255) for row in rows], axis=1)[:, :-6]
    return _with_line(whole, [(names[i], colours[i]) for i in below])


def _paint(photo: np.ndarray, ids: np.ndarray, colours: Sequence[Colour | None], alpha: float) -> Image.Image:
    table = np.array([colour or (0, 0, 0) for colour in (*colours, None)], dtype=np.float32)
    shown = np.array([colour is not None for colour in (*colours, None)])
    index = np.where((ids >= 0) & (ids < len(colours)), ids, len(colours))
    weight = alpha * shown[index][..., None]
    mixed = photo * (1 - weight) + table[index] * weight
    edge = np.zeros(ids.shape, dtype=bool)
    edge[1:] |= ids[1:] != ids[:-1]
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    mixed[edge] = 255
    return Image.fromarray(mixed.astype(np.uint8))


def _middle(mask: np.ndarray) -> tuple[float, float] | None:
    """(x, y), as shares of the picture, of the place of a mask that lies deepest in it; None for specks."""
    if mask.mean() < _SMALL:
        return None
    coarse = F.interpolate(torch.from_numpy(mask)[None, None].float(), (_COARSE, _COARSE), mode="area") > 0.5
    deep = coarse.float()
    while deep.any():
        kept, deep = deep, -F.max_pool2d(-F.pad(deep, (1, 1, 1, 1)), 3, 1)
    if not coarse.any():
        return None
    y, x = (kept[0, 0] > 0).nonzero().float().mean(0).tolist()
    near = (kept[0, 0] > 0).nonzero().float()
    y, x = near[(near - torch.tensor([y, x])).square().sum(1).argmin()].tolist()  # a mean may lie outside a ring
    return (x + 0.5) / _COARSE, (y + 0.5) / _COARSE


def _write(
    draw: ImageDraw.ImageDraw, font: Font, name: str, place: tuple[float, float], size: tuple[int, int],
    written: list[Box],
) -> bool:  # fmt: skip
    """Writes a name at a place and notes its box, unless it is too wide or would cover another name."""
    left, top, right, bottom = draw.textbbox((0, 0), name, font=font)
    width, height = right - left, bottom - top
    if width + 8 > size[0]:
        return False
    x = min(max(place[0] * size[0] - width / 2, 4), size[0] - width - 4)
    y = min(max(place[1] * size[1] - height / 2, 4), size[1] - height - 4)
    box = (x - 4, y - 3, x + width + 4, y + height + 3)
    if any(box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in written):
        return False
    written.append(box)
    draw.rectangle(box, fill=PAPER, outline=INK)
    draw.text((x - left, y - top), name, fill=INK, font=font)
    return True


def _with_line(picture: np.ndarray, entries: Sequence[tuple[str, Colour | None]]) -> np.ndarray:
    found = [(name, colour) for name, colour in entries if colour is not None]
    return with_legend(picture, found) if found else picture
