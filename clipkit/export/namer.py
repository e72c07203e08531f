"""Names whole pictures with an exported file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.backbone.clip import unit_preprocess
from clipkit.data.draw import enlarge, save_picture, with_legend
from clipkit.data.picture import Picture
from clipkit.export.about import MOST
from clipkit.export.labels import OnnxModel
from clipkit.files import write_text
from clipkit.predict.files import ImageFiles
from clipkit.predict.predictor import ImagePredictor

SHOWN = 5  # names of a picture
_FIRST, _OTHER, _HEIGHT = (255, 190, 0), (200, 200, 200), 256


@dataclass(repr=False)
class NamedPicture(Picture):
    """What a picture is said to be.

    Attributes:
        names: in the order of the labels.
        scores: `(K,)`, softmax over them.
        image: `(H, W, 3)` uint8 RGB.
    """

    names: tuple[str, ...]
    scores: Tensor
    image: np.ndarray

    def best(self) -> list[tuple[str, float]]:
        """The best names with their scores, best first."""
        top = self.scores.topk(min(SHOWN, len(self.names)))
        return [(self.names[i], score) for i, score in zip(top.indices.tolist(), top.values.tolist())]

    def plot(self, beside: bool = False) -> Image.Image:
        """The picture over its best names; `beside` changes nothing."""
        said = [f"{name} {100 * score:.0f} %" for name, score in self.best()[:3]]
        entries = list(zip(said, (_FIRST, _OTHER, _OTHER)))
        return Image.fromarray(with_legend(enlarge(self.image, _HEIGHT), entries))

    def __repr__(self) -> str:
        return "NamedPicture(" + ", ".join(f"{name} {score:.2f}" for name, score in self.best()) + ")"


class OnnxNamer(ImagePredictor):
    """`open_onnx("model.onnx")[0](image, labels)` -> `NamedPicture`. Pictures are cut as the CLIP's own preprocessing
    does it; in the graph alone they are stretched to its size."""

    model: OnnxModel

    def __init__(self, model: OnnxModel) -> None:
        super().__init__(model)
        made = model.about.options["preprocessing"]
        chosen = {key: str(made[key]) for key in ("interpolation", "resize_mode")}
        size = model.about.size or (int(made["size"][0]), int(made["size"][1]))
        if not all(1 <= side <= MOST for side in size):
            raise ValueError(f"{size} pixels")
        self.cut = unit_preprocess({"size": size, **chosen})

    @property
    def device(self) -> torch.device:
        """Of what goes in and comes out."""
        return torch.device("cpu")

    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[NamedPicture]:
        """See `ImagePredictor`."""
        cut: list[Any] = [self.cut(Image.fromarray(np.ascontiguousarray(rgb))) for rgb in images]
        pictures = (255 * torch.stack(cut)).round().byte().permute(0, 2, 3, 1).contiguous()
        scores = self.model.labels.class_scores(self.model.run(pictures=pictures)[0], dim=1).softmax(1)
        return [NamedPicture(names, own, rgb) for own, rgb in zip(scores, images)]


class NamedFiles(ImageFiles):
    """`<stem>.json`, and `<stem>_named.png`: the picture over its best names."""

    picture = "named.png"
    reserved: frozenset[str] = frozenset()

    def __init__(self, predictor: OnnxNamer, labels: Any, out: Path, min_score: float = 0.0) -> None:
        self.predictor, self.labels, self.out = predictor, labels, out

    def save(self, result: NamedPicture, file: str | Path, stem: str) -> str:
        """Writes one picture's files; returns what to print: the best names."""
        save_picture(result.plot(), self.out / f"{stem}_named.png")
        names = [{"name": name, "score": round(score, 4)} for name, score in result.best()]
        height, width = result.image.shape[:2]
        record = {"image": str(file), "size": [width, height], "names": names}
        write_text(self.out / f"{stem}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return ", ".join(f"{name} {100 * score:.0f} %" for name, score in result.best()[:3])

    def finish(self) -> None:
        """Nothing is written for all pictures together."""
