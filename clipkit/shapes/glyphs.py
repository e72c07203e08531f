"""Glyphs: marks that no caption ever named, on the embedded world's grounds (claim C6).

A CLIP that was trained on captions has no word for them, while its image tower may still tell them apart: the case of
handwritten digits in CLIP's paper (Radford et al. 2021, section 3.1.5).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from clipkit.shapes._stuff import TILE, tiles
from clipkit.shapes._words import COLOURS, STUFF
from clipkit.shapes.render import RGB

# Five columns, seven rows, drawn as people draw letters; none looks like one of the twelve shapes.
_ROWS = {
    "a": "01110 10001 10001 11111 10001 10001 10001",
    "e": "11111 10000 10000 11110 10000 10000 11111",
    "f": "11111 10000 10000 11110 10000 10000 10000",
    "h": "10001 10001 10001 11111 10001 10001 10001",
    "k": "10001 10010 10100 11000 10100 10010 10001",
    "m": "10001 11011 10101 10101 10001 10001 10001",
    "n": "10001 11001 10101 10011 10001 10001 10001",
    "s": "01111 10000 10000 01110 00001 00001 11110",
    "t": "11111 00100 00100 00100 00100 00100 00100",
    "z": "11111 00001 00010 00100 01000 10000 11111",
}
GLYPHS = tuple(_ROWS)


def render_glyphs(batch: int, *, size: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`batch` scenes with one glyph each, in a random colour, place and size on a random ground.

    Returns:
        `(batch, 3, size, size)` float32 RGB in [0, 1] and `(batch,)` int64 indices into GLYPHS. Equal arguments give
        equal scenes.

    Raises:
        ValueError: no scene, or a size under 64.
    """
    if batch < 1 or size < 64:
        raise ValueError(f"glyphs need a batch of at least 1 and a size of at least 64, got {batch} and {size}")
    g = torch.Generator().manual_seed(seed)
    bits = torch.tensor([[int(b) for b in rows.replace(" ", "")] for rows in _ROWS.values()]).float().view(-1, 1, 7, 5)
    labels = torch.randint(len(GLYPHS), (batch,), generator=g)
    stuff = torch.randint(len(STUFF), (batch,), generator=g)
    window = torch.randint((TILE - 1) * size, (batch, 2), generator=g)
    colour = torch.tensor([RGB[name] for name in COLOURS])[torch.randint(len(COLOURS), (batch,), generator=g)]
    height = (size * (0.35 + 0.4 * torch.rand(batch, generator=g))).round().int()
    place = torch.rand(batch, 2, generator=g)
    ground = tiles(size, "cpu")
    images = []
    for i in range(batch):
        y, x = window[i].tolist()
        image = ground[stuff[i], y : y + size, x : x + size].movedim(-1, 0).clone()
        tall, wide = int(height[i]), max(round(int(height[i]) * 5 / 7), 1)
        mark = F.interpolate(bits[labels[i]][None], (tall, wide), mode="area")[0, 0]
        top, left = (int(place[i, 0] * (size - tall)), int(place[i, 1] * (size - wide)))
        part = image[:, top : top + tall, left : left + wide]
        part += mark * (colour[i][:, None, None] - part)
        images.append(image)
    noise = 0.015 * torch.randn(batch, 3, size, size, generator=g)
    return (torch.stack(images) + noise).clamp(0, 1), labels
