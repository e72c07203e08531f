"""A model of depth as a Python object: a picture in, metres out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clipkit.data.depth import save_depth
from clipkit.data.draw import Colour, enlarge, grid, save_picture, with_legend
from clipkit.data.picture import Picture
from clipkit.errors import ClipkitError
from clipkit.files import write_text
from clipkit.predict.files import ImageFiles
from clipkit.predict.predictor import ImagePredictor

_COLOURS = np.array([(255, 236, 130), (246, 138, 71), (190, 55, 98), (92, 27, 120), (16, 11, 52)])
"""Near to far."""
_HEIGHT = 256  # pixels, of small pictures
_SHOWN = 5  # distances in the legend


@dataclass(repr=False)
class Depth(Picture):
    """The depth of one picture.

    Attributes:
        metres: (H, W) float32.
        image: (H, W, 3) uint8 RGB.
        words: distance words, the nearest first.
        bins: the metres that they stand for.
    """

    metres: np.ndarray
    image: np.ndarray
    words: tuple[str, ...]
    bins: tuple[float, ...]

    def plot(self, beside: bool = False) -> Image.Image:
        """Near is light, far is dark, between the distances of the first and the last word; `beside`: behind the
        picture as it is."""
        picture = enlarge(self._painted(self.metres), _HEIGHT)
        if beside:
            picture = grid([[enlarge(self.image, _HEIGHT), picture]])
        steps = np.linspace(self.bins[0], self.bins[-1], _SHOWN)
        entries: list[tuple[str, Colour]] = [
            (f"{step:.1f} m", tuple(colour.tolist())) for step, colour in zip(steps, self._painted(steps))
        ]
        return Image.fromarray(with_legend(picture, entries))

    def _painted(self, metres: np.ndarray) -> np.ndarray:
        """Metres of any form -> their colours, uint8, one side more."""
        places = np.linspace(self.bins[0], max(self.bins[-1], self.bins[0] + 1e-6), len(_COLOURS))
        return np.stack([np.interp(metres, places, channel) for channel in _COLOURS.T], -1).astype(np.uint8)

    def __repr__(self) -> str:
        low, middle, high = np.percentile(self.metres, (0, 50, 100))
        return f"Depth({low:.2f} to {high:.2f} m, median {middle:.2f})"


class DepthPredictor(ImagePredictor):
    """`DepthPredictor.load("depthclip/depthclip_tiny_shapes.py")("scene.png").metres`."""

    hub_task = "depth-estimation"

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """What gives metres."""
        return callable(getattr(model, "depth", None)) and hasattr(model, "bins")

    def set_labels(self, labels: Any = None) -> tuple[str, ...]:
        """The model's own words.

        Raises:
            ClipkitError: others are asked for, whose distances nobody said.
        """
        if labels is not None:
            raise ClipkitError(
                "a model of depth has words of its own, each with its distance: leave the labels out, or give "
                "--cfg-options model.words=near,far model.bins=1,3"
            )
        return tuple(self.model.words)

    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Depth]:
        """Depths of (H, W, 3) uint8 images of equal size."""
        batch = torch.stack([self.model.pixels(torch.from_numpy(np.array(image))) for image in images])
        bins = tuple(self.model.bins.tolist())
        found = self.model.depth(batch).float().cpu().numpy()
        return [Depth(metres, image, names, bins) for metres, image in zip(found, images)]


class DepthFiles(ImageFiles):
    """`<stem>_depth.png`, the picture; `<stem>_depth_mm.png`, 16 bits of grey in millimetres; `<stem>.json`."""

    picture = "depth.png"
    reserved: frozenset[str] = frozenset()

    def __init__(self, predictor: DepthPredictor, labels: Any, out: Path, min_score: float = 0.0) -> None:
        self.predictor, self.labels, self.out = predictor, labels, out

    def save(self, result: Depth, file: str | Path, stem: str) -> str:
        """Writes one image's files; returns what to print: how near and far it goes."""
        save_picture(result.plot(self.beside), self.out / f"{stem}_depth.png")
        save_depth(result.metres, self.out / f"{stem}_depth_mm.png")
        height, width = result.metres.shape
        low, middle, high = (round(float(metres), 3) for metres in np.percentile(result.metres, (0, 50, 100)))
        record = {
            "image": str(file),
            "size": [width, height],
            "depth_mm": f"{stem}_depth_mm.png",
            "metres": {"least": low, "median": middle, "greatest": high},
            "words": {word: round(metres, 3) for word, metres in zip(result.words, result.bins)},
        }
        write_text(self.out / f"{stem}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return f"{low:.2f} to {high:.2f} m, median {middle:.2f}"

    def finish(self) -> None:
        """Nothing is written for all images together."""
