"""The vocabulary of the embedded world: what can be seen, what it is called, what was held out."""

from itertools import product

import torch
from torch import Tensor

SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "cross",
    "ring",
    "heart",
    "crescent",
    "arrow",
    "bar",
    "hourglass",
    "dome",
)
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "white")
TEXTURES = ("plain", "striped", "dotted", "checked")
STUFF = ("grass", "brick", "water", "sand", "wood", "cloud")

# Captions pick the first word most often. `dot`, `bar` and `brick` are the ambiguous words of claim C3: each is also
# the noun of a texture or of a background, so that only the words around it tell which is meant.
SHAPE_SYNONYMS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "disc", "dot"),
    "square": ("square", "box", "brick"),
    "triangle": ("triangle", "wedge"),
    "star": ("star",),
    "cross": ("cross", "plus"),
    "ring": ("ring", "donut"),
    "heart": ("heart",),
    "crescent": ("crescent", "moon"),
    "arrow": ("arrow", "pointer"),
    "bar": ("bar", "stick"),
    "hourglass": ("hourglass", "bowtie"),
    "dome": ("dome", "bowl"),
}
COLOUR_SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("red", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "cyan": ("cyan", "turquoise"),
    "blue": ("blue", "navy"),
    "purple": ("purple", "violet"),
    "white": ("white", "pale"),
}
TEXTURE_NOUNS: dict[str, str] = {"striped": "bar", "dotted": "dot", "checked": "check"}
STUFF_SYNONYMS: dict[str, tuple[str, ...]] = {
    "grass": ("grass", "lawn"),
    "brick": ("brick", "wall"),
    "water": ("water", "sea"),
    "sand": ("sand", "beach"),
    "wood": ("wood", "planks"),
    "cloud": ("cloud", "sky"),
}
AMBIGUOUS = {"dot": "circle", "bar": "bar", "brick": "square"}
"""Ambiguous word → the shape that it names when it names a shape."""

UNSEEN_SHAPES = ("cross", "crescent", "hourglass")
"""The held-out shapes of the split 'shape'."""

SPLITS = ("composition", "shape")


def class_names() -> list[str]:
    """The 102 classes of a scene's semantic map: `"red circle"` … (id = colour · 12 + shape), then the stuff names."""
    return [f"{colour} {shape}" for colour, shape in product(COLOURS, SHAPES)] + list(STUFF)


def seen_compositions(split: str | None) -> Tensor:
    """(8, 12) bool, colour × shape: which compositions a split lets training images hold.

    'composition' holds out every fourth diagonal, so that each colour and each shape is still seen: 72 seen,
    24 unseen. 'shape' holds out three shapes in all colours. None holds out nothing.
    """
    colour, shape = torch.arange(len(COLOURS))[:, None], torch.arange(len(SHAPES))[None]
    if split is None:
        return torch.ones(len(COLOURS), len(SHAPES), dtype=torch.bool)
    if split == "composition":
        return (colour + shape) % 4 != 0
    if split == "shape":
        held_out = torch.tensor([name in UNSEEN_SHAPES for name in SHAPES])
        return (~held_out).expand(len(COLOURS), -1).clone()
    raise ValueError(f"split is {split!r}, known: {', '.join(SPLITS)}, None")


def seen_mask(split: str | None) -> Tensor:
    """(102,) bool over `class_names()`: True where training images of the split hold the class. Stuff always is."""
    return torch.cat([seen_compositions(split).flatten(), torch.ones(len(STUFF), dtype=torch.bool)])
