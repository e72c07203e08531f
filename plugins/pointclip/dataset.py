"""Clouds with classes as mmengine samples: the stored embeddings of their views, and points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from clipkit_plugins.pointclip.features import stored_views
from clipkit_plugins.pointclip.projection import build_projection
from torch.utils.data import Dataset

from clipkit.backbone.options import clip_options
from clipkit.data.cloud_sets import CloudArray, CloudFolder, LabelledClouds, ModelNet40, ScanObjectNN
from clipkit.data.points import unit_sphere
from clipkit.data.shots import draw_shots
from clipkit.device import own_device
from clipkit.embed.encoder import load_frozen
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError
from clipkit.shapes import SHAPES, render_clouds

for kind in (CloudFolder, ModelNet40, ScanObjectNN):
    DATASETS.register_module(module=kind)


@DATASETS.register_module()
class ShapesClouds(CloudArray):
    """`length` clouds of the embedded world, see `clipkit.shapes.render_clouds`; those of other seeds are others.

    Args:
        options: of `render_clouds`.
    """

    def __init__(self, length: int, seed: int = 0, **options: Any) -> None:
        made = render_clouds(length, seed=seed, **options)
        super().__init__(list(made.points.numpy()), made.shape.numpy(), SHAPES)


@DATASETS.register_module()
class CloudViews(Dataset):
    """Each sample: `views` `(V, D)`, the embeddings of a cloud's views; `points` `(P, 3)` in the unit sphere, in
    training other ones each time; `label`.

    Args:
        clouds: config of a set of clouds: `ShapesClouds`, `CloudFolder`, `ModelNet40`, `ScanObjectNN`.
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`: the frozen CLIP of the store.
        projection: of the model, see `clipkit_plugins.pointclip.projection`.
        store: folder of the embeddings: made at the start, or completed.
        points: P, drawn from the cloud's; of a smaller cloud some come again.
        shots: that many clouds of each class, drawn by `seed`; None: all.
        test_mode: the same points each time.

    Raises:
        ClipkitError: clouds that cannot be read, or too few of a class.
    """

    def __init__(
        self,
        clouds: Mapping[str, Any],
        clip: str | Mapping[str, Any],
        projection: dict[str, Any],
        store: str,
        points: int = 1024,
        shots: int | None = None,
        seed: int = 0,
        test_mode: bool = False,
    ) -> None:
        found: LabelledClouds = DATASETS.build(dict(clouds))
        if shots is not None:
            try:
                found = found.take(draw_shots(found.labels, shots, seed, validation=0)[0])
            except ValueError as error:
                raise ClipkitError(f"shots={shots}: {error}; set fewer shots") from None
        wanted = clip_options(clip)
        encoder, made_by = load_frozen(
            wanted["name"], wanted.get("pretrained"), wanted.get("precision", "fp32"), own_device()
        )
        self.clouds, self.points, self.test_mode = found, points, test_mode
        self.views = stored_views(encoder, made_by, build_projection(projection), found, store)
        self.metainfo = {"classes": tuple(found.names)}

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> dict[str, Any]:
        cloud = unit_sphere(self.clouds.read(index))
        random = np.random.default_rng(index) if self.test_mode else np.random
        chosen = random.choice(len(cloud), self.points, replace=len(cloud) < self.points)  # type: ignore[attr-defined]
        points = torch.from_numpy(cloud[chosen].astype(np.float32))
        return {"views": self.views[index], "points": points, "label": torch.tensor(int(self.clouds.labels[index]))}
