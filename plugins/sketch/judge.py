"""Who says what a drawing shows: a small network that is not the CLIP for which it was drawn, and which it fools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from clipkit.engine.registry import DATASETS, METRICS, MODELS
from clipkit.nn import ConvTower
from clipkit.shapes import SHAPES, render_outlines


@MODELS.register_module()
class ShapeJudge(BaseModel):
    """A convolutional network that names the twelve shapes, drawn in any colour on any paper.

    Args:
        channels: of the tower's stages.
    """

    def __init__(
        self,
        channels: Sequence[int] = (24, 48, 96, 128),
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.tower = ConvTower(channels, [1] * len(channels))
        self.head = nn.Linear(channels[-1], len(SHAPES))

    def logits(self, pictures: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] -> `(B, 12)`; larger pictures are made 64 × 64, as it saw them."""
        if pictures.shape[-2:] != (64, 64):
            pictures = F.interpolate(pictures, (64, 64), mode="bilinear", antialias=True)
        return self.head(self.tower(2 * pictures - 1)[-1].mean((2, 3)))

    def forward(self, pictures: Tensor, label: Tensor, mode: str = "loss") -> Any:
        """mmengine's: a dict with `loss`, or the `guess` and `label` of each picture."""
        logits = self.logits(pictures)
        if mode == "loss":
            return {"loss": F.cross_entropy(logits, label)}
        return [{"guess": int(guess), "label": int(true)} for guess, true in zip(logits.argmax(1), label)]


@DATASETS.register_module()
class Outlines(Dataset):
    """Drawings of `clipkit.shapes.render_outlines`, made 64 at a time.

    Args:
        length: how many.
        seed: of the first 64.
        options: of `render_outlines`.
    """

    def __init__(self, length: int, seed: int = 0, **options: Any) -> None:
        self.length, self.seed, self.options = length, seed, options
        self._kept: tuple[int, Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        part, place = divmod(index, 64)
        if self._kept is None or self._kept[0] != part:
            self._kept = part, *render_outlines(64, seed=self.seed * 10**6 + part, **self.options)
        return {"pictures": self._kept[1][place], "label": int(self._kept[2][place])}


@METRICS.register_module()
class ShapesNamed(BaseMetric):
    """Share of drawings named right, in percent, of all and of each shape."""

    default_prefix = ""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps guess and label."""
        self.results += [(sample["guess"], sample["label"]) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """`named`, and `named_SHAPE`."""
        right = torch.tensor([guess == label for guess, label in results]).double() * 100
        labels = torch.tensor([label for _, label in results])
        each = {
            f"named_{name}": right[labels == i].mean().item() for i, name in enumerate(SHAPES) if (labels == i).any()
        }
        return {"named": right.mean().item(), **each}
