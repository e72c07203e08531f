"""Labelled images that a config can name, those of the embedded world among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipkit.data.annotations import read_coco, read_voc
from clipkit.data.captioned import KarpathyImages
from clipkit.data.image_folder import BoxImages, ImageArray, ImageFolder, LabelledImages, Names, TorchvisionImages
from clipkit.engine.registry import DATASETS
from clipkit.shapes import COLOURS, SHAPES, STUFF, TEXTURES, class_names
from clipkit.shapes.chunks import chunks, to_bytes
from clipkit.shapes.evaluate import distinct_pairs

DATASETS.register_module(module=ImageFolder)
DATASETS.register_module(module=TorchvisionImages)
DATASETS.register_module(module=KarpathyImages)
LABELS = ("composition", "shape", "colour", "texture", "stuff", "count")
_CHUNK = 250
_FIRST_SEED = 2**41  # no pretraining of the tiny CLIP draws a seed from here on
_COUNTS = ("one", "two", "three", "four", "five", "six")


def build_images(config: Mapping[str, Any] | LabelledImages) -> LabelledImages:
    """An image set of a config, or one that is built already."""
    return DATASETS.build(dict(config)) if isinstance(config, Mapping) else config


@DATASETS.register_module()
class VOCBoxes(BoxImages):
    """Objects of a set in Pascal VOC's layout, cut out; see `clipkit.data.annotations.read_voc` and `BoxImages`."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        classes: Sequence[str],
        rename: Mapping[str, str] | None = None,
        enlarge: float = 1.0,
        least: float = 8.0,
        on_bad: str = "raise",
    ) -> None:
        found = read_voc(root, split, classes, rename, check=False)
        super().__init__(found, enlarge=enlarge, least=least, on_bad=on_bad)


@DATASETS.register_module()
class COCOBoxes(BoxImages):
    """Objects of a set in COCO's or LVIS's format, cut out; see `read_coco`, `BoxImages`."""

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path,
        classes: Sequence[str] | None = None,
        names: Names | None = None,
        enlarge: float = 1.0,
        least: float = 8.0,
        on_bad: str = "raise",
    ) -> None:
        found = read_coco(annotations, images, classes, check=False)
        super().__init__(found, names, enlarge=enlarge, least=least, on_bad=on_bad)


@DATASETS.register_module()
class ShapesImages(ImageArray):
    """Scenes of `clipkit.shapes` with one label each; a function of the arguments alone. No training of the tiny CLIP
    had any of them.

    Args:
        length: number of scenes.
        seed: scenes of different seeds are different.
        label: what a scene is labelled by: 'composition' (96 names), 'shape', 'colour', 'texture', 'stuff' (scenes with
            one ground only, so fewer than `length`), or 'count' (one to three objects; else there is one).
        style, size, split, subset: see `clipkit.shapes.render`.
        textures: names of the textures that are kept; scenes of others are left out, so fewer than `length` remain.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        label: str = "composition",
        style: str = "photo",
        size: int = 64,
        split: str | None = "composition",
        subset: str = "all",
        textures: Sequence[str] = TEXTURES,
    ) -> None:
        if label not in LABELS:
            raise ValueError(f"label is {label!r}, known: {', '.join(LABELS)}")
        if unknown := [name for name in textures if name not in TEXTURES]:
            raise ValueError(f"textures holds {unknown[0]!r}, known: {', '.join(TEXTURES)}")
        options: dict[str, Any] = {"style": style, "size": size, "split": split, "subset": subset}
        options["objects"] = (1, 3) if label == "count" else (1, 1)
        kept = torch.tensor([name in textures for name in TEXTURES])
        pixels, labels = [], []
        for scenes, count in chunks(length, _FIRST_SEED + seed * 10**6, _CHUNK, **options):
            found = {
                "composition": scenes.colour[:, 0] * len(SHAPES) + scenes.shape[:, 0],
                "shape": scenes.shape[:, 0],
                "colour": scenes.colour[:, 0],
                "texture": scenes.texture[:, 0],
                "stuff": scenes.stuff[:, 0],
                "count": scenes.present.sum(1) - 1,
            }[label]
            good = scenes.present.any(1) & (torch.arange(_CHUNK) < count)
            if label != "count":
                good &= kept[scenes.texture[:, 0]]
            if label == "stuff":
                good &= scenes.stuff[:, 0] == scenes.stuff[:, 1]
            pixels.append(to_bytes(scenes.images[good]))
            labels.append(found[good])
        names = {
            "composition": class_names()[: len(COLOURS) * len(SHAPES)],
            "shape": SHAPES,
            "colour": COLOURS,
            "texture": TEXTURES,
            "stuff": STUFF,
            "count": _COUNTS[:3],
        }[label]
        super().__init__(np.concatenate(pixels), torch.cat(labels).numpy(), names)


@DATASETS.register_module()
class ShapesCaptioned(ImageArray):
    """Scenes of two objects with their exhaustive captions, no two alike: `count` of them, for retrieval."""

    def __init__(self, count: int, seed: int = 0) -> None:
        images, self.texts = distinct_pairs(count, _FIRST_SEED + seed)
        self.owner = np.arange(len(self.texts))
        pixels = to_bytes(images)
        super().__init__(pixels, np.zeros(len(pixels)), ["scene"])
