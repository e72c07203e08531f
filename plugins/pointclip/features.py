"""What a frozen CLIP says of the views of clouds: computed in passes, or once into a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clipkit_plugins.pointclip.projection import Projection
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.data.cloud_sets import LabelledClouds
from clipkit.data.points import unit_sphere
from clipkit.embed.encoder import finite
from clipkit.errors import ClipkitError
from clipkit.store import Store

SHARD, BATCH = 256, 16
PICTURES = 128  # in one pass


def together(clouds: Sequence[np.ndarray]) -> Tensor:
    """Clouds `(N, 3)` as a batch `(B, most N, 3)`, filled up with NaN, which no projection draws."""
    batch = torch.full((len(clouds), max(map(len, clouds)), 3), torch.nan)
    for row, cloud in zip(batch, clouds):
        row[: len(cloud)] = torch.from_numpy(cloud)
    return batch


@torch.no_grad()
def embed_views(clip: ClipModel, projection: Projection, points: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, N, 3)` -> embeddings `(B, V, D)` float32, not normalised, and the pictures `(B, V, 3, size, size)`."""
    pictures = projection(points.to(clip.device))
    rows = []
    for part in pictures.flatten(0, 1).split(PICTURES):
        if projection.normalised:
            rows.append(clip.encode_image(part.to(clip.dtype), normalize=False))
        else:
            rows.append(clip.model.encode_image(part.to(clip.dtype)))
    return torch.cat(rows).float().unflatten(0, pictures.shape[:2]), pictures


def stored_views(
    clip: ClipModel, made_by: dict[str, Any], projection: Projection, clouds: LabelledClouds, folder: str | Path
) -> Tensor:
    """The embeddings of all views of a set of clouds, `(N, V, D)`; what the folder lacks is computed. A killed run goes
    on where it stopped, processes of torchrun share the work.

    Args:
        clip, made_by: see `clipkit.embed.encoder.load_frozen`.
        folder: each CLIP and projection has a store of its own below it.

    Raises:
        ClipkitError: no clouds, or one that cannot be read.
    """
    if len(clouds) == 0:
        raise ClipkitError("features of no clouds are asked for")
    made = {key: value for key, value in made_by.items() if key != "preprocessing"}
    key = {"kind": "clouds", **made, "projection": {"type": type(projection).__name__, **_plain(projection)}}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    store = Store(Path(folder) / f"clouds-{digest[:16]}", key, shard_size=SHARD, batch_size=BATCH)
    keys = [clouds.identify(index) for index in range(len(clouds))]
    ids: list[str] = []
    while ids != (ids := [store.free_id(key) for key in keys]):  # see `clipkit.embed.images.image_features`
        place = {identifier: index for index, identifier in enumerate(ids)}

        def compute(wanted: list[str], place: dict[str, int] = place) -> list[dict[str, np.ndarray]]:
            # Begun by a run that was stopped, and not in this set, or no longer: a cloud without points, of no rows.
            read = [unit_sphere(clouds.read(place[one])) if one in place else np.zeros((1, 3)) for one in wanted]
            rows, _ = embed_views(clip, projection, together([one.astype(np.float32) for one in read]))
            kept = [len(own) if one in place else 0 for own, one in zip(rows, wanted)]
            return [{"views": own[:end].cpu().numpy()} for own, end in zip(finite(rows), kept)]

        store.build(dict.fromkeys(ids), compute, desc="drawing and embedding", unit="cloud")
    return torch.from_numpy(store.read(ids, "views")[0]).unflatten(0, (len(clouds), -1))


def _plain(projection: Projection) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(projection).items() if name != "angles"}
