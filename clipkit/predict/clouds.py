"""A trained model of clouds of points as a Python object: a file in, its name out, and what each view said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.draw import enlarge, grid, save_picture, with_legend
from clipkit.data.picture import Picture
from clipkit.data.points import read_cloud, unit_sphere
from clipkit.errors import ClipkitError
from clipkit.files import write_text
from clipkit.predict.predictor import Predictor

SHOWN = 5
_RIGHT, _OTHER = (60, 160, 60), (200, 200, 200)
_COLOURS = _RIGHT, _OTHER, _OTHER  # of the best three
_HEIGHT, _ROW = 240, 5  # pixels of a view, views in a row


@dataclass(repr=False)
class NamedCloud(Picture):
    """What a cloud is said to be.

    Attributes:
        names: the K labels.
        scores: `(K,)` probabilities of the prediction.
        parts: the same of each part of the model, such as 'zero-shot' or 'adapter'.
        votes: `(V, K)` probabilities by each view alone, without training.
        pictures: `(V, 3, size, size)` RGB in [0, 1]: the views as CLIP saw them.
    """

    names: tuple[str, ...]
    scores: Tensor
    parts: dict[str, Tensor]
    votes: Tensor
    pictures: Tensor

    def best(self, count: int = SHOWN) -> list[tuple[str, float]]:
        """The best names with their scores, best first."""
        found = self.scores.topk(min(count, len(self.names)))
        return [(self.names[i], score) for i, score in zip(found.indices.tolist(), found.values.tolist())]

    def plot(self, beside: bool = False) -> Image.Image:
        """The views, each over its own vote, which is green where it is the prediction's; `beside` changes nothing."""
        said = int(self.scores.argmax())
        cells = []
        for picture, votes in zip(self.pictures, self.votes):
            rgb = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
            own = int(votes.argmax())
            entry = f"{self.names[own]} {100 * float(votes[own]):.0f} %", _RIGHT if own == said else _OTHER
            cells.append(with_legend(enlarge(rgb, _HEIGHT), [entry]))
        rows = [cells[i : i + _ROW] for i in range(0, len(cells), _ROW)]
        said_of = [(f"{name} {100 * score:.0f} %", colour) for (name, score), colour in zip(self.best(3), _COLOURS)]
        return Image.fromarray(with_legend(grid(rows), said_of))

    def __repr__(self) -> str:
        return "NamedCloud(" + ", ".join(f"{name} {score:.2f}" for name, score in self.best()) + ")"


class CloudNamer(Predictor):
    """`CloudNamer.load(work_dir)("chair.ply")`."""

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """What names clouds of points."""
        return callable(getattr(model, "classify_cloud", None))

    def set_labels(self, labels: Any = None) -> tuple[str, ...]:
        """Names of the next calls, None: the model's own; see the model's `set_labels`."""
        return self.model.set_labels(labels)

    def __call__(self, cloud: str | Path | np.ndarray, labels: Any = None) -> NamedCloud:
        """Names one cloud.

        Args:
            cloud: a file, see `clipkit.data.points.read_cloud`, or `(N, 3)`; y points up, and who looks at it from the
                front looks along z.
            labels: see `set_labels`.

        Raises:
            ClipkitError, FileNotFoundError: a file that cannot be read, or an array of another shape.
        """
        names = self.set_labels(labels)
        points = read_cloud(cloud) if isinstance(cloud, (str, Path)) else np.asarray(cloud)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
            raise ClipkitError(f"a cloud is (N, 3) finite numbers, got {points.dtype} {points.shape}")
        parts, votes, pictures = self.model.classify_cloud(torch.from_numpy(unit_sphere(points)))
        return NamedCloud(names, parts.pop("all"), parts, votes, pictures)


class CloudFiles:
    """`<stem>_views.png`, the views and their votes, and `<stem>.json`."""

    picture = "views.png"
    reserved: frozenset[str] = frozenset()
    beside = False

    def __init__(self, predictor: CloudNamer, labels: Any, out: Path, min_score: float = 0.0) -> None:
        self.predictor, self.labels, self.out = predictor, labels, out

    def write(self, file: str | Path, stem: str) -> str:
        """Names one cloud and writes its files; returns what to print: the best names."""
        found = self.predictor(file, self.labels)
        save_picture(found.plot(), self.out / f"{stem}_views.png")
        record = {
            "cloud": str(file),
            "names": [{"name": name, "score": round(score, 4)} for name, score in found.best()],
            "parts": {name: found.names[int(own.argmax())] for name, own in found.parts.items()},
            "views": [found.names[i] for i in found.votes.argmax(1).tolist()],
        }
        write_text(self.out / f"{stem}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return ", ".join(f"{name} {100 * score:.0f} %" for name, score in found.best(3))

    def finish(self) -> None:
        """Nothing is written for all clouds together."""
