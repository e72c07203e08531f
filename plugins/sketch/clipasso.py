"""From a picture to a few strokes: CLIPasso (Vinker et al., SIGGRAPH 2022, arXiv:2202.05822)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from clipkit_plugins.sketch.saliency import random_points, start_points
from torch import Tensor
from torch.nn import functional as F

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError
from clipkit.nn import Strokes
from clipkit.optimise import ClipLoss, Cutouts, Optimised, StrokeDrawing, optimise

_JITTER = 0.05  # of the side: how far a stroke's next control point is from the one before


def first_strokes(
    clip: FrozenCLIP,
    pictures: Tensor,
    count: int,
    *,
    start: str = "saliency",
    width: float = 1.5,
    seeds: Sequence[int] = (0,),
    masks: Tensor | None = None,
) -> Strokes:
    """Black strokes of one cubic each, `count` for each picture and seed; pictures first, then seeds.

    Args:
        start: where they begin: 'saliency' or 'random'.
        width: pixels.
        masks: see `clipasso`.

    Raises:
        ClipkitError: another start.
    """
    if start not in ("saliency", "random"):
        raise ClipkitError(f'start="{start}" is unknown; known: saliency, random')
    size = (pictures.shape[-2], pictures.shape[-1])
    side = torch.tensor([size[1], size[0]])
    found = []
    for seed in seeds:
        g = torch.Generator().manual_seed(seed)
        if start == "saliency":
            first = start_points(clip, pictures, count, g, masks)
        else:
            first = random_points(len(pictures), count, size, g)
        steps = (torch.rand(len(pictures), count, 3, 2, generator=g) - 0.5) * _JITTER * side
        found.append(torch.cat([first[:, :, None], first[:, :, None] + steps.cumsum(2)], 2))
    points = torch.stack(found, 1).flatten(0, 2)
    drawings = len(pictures) * len(seeds)
    return Strokes.of(
        points, width, size=size, drawing=torch.arange(drawings).repeat_interleave(count), drawings=drawings
    )


def clipasso(
    clip: FrozenCLIP,
    pictures: Tensor,
    *,
    strokes: int = 16,
    seeds: Sequence[int] = (0, 1, 2),
    start: str = "saliency",
    layers: Mapping[int, float] | None = None,
    embedding_weight: float = 0.1,
    relative: bool | None = None,
    semantic: FrozenCLIP | None = None,
    looks: FrozenCLIP | None = None,
    masks: Tensor | None = None,
    width: float = 1.5,
    steps: int = 300,
    lr: float = 1.0,
    schedule: Callable[[float], float] | None = None,
    copies: int = 4,
    fill: float = 1.0,
    **options: Any,
) -> tuple[Strokes, Optimised]:
    """Draws pictures with a few black strokes; their number is the abstraction.

    The loss is the mean square between maps of CLIP's middle layers (what is where) plus `embedding_weight` times 1 −
    cos of the embeddings (what it is), each over the picture and `copies` warps of it and of the drawing alike.

    Args:
        clip: whose layers are compared; the release's is RN101.
        pictures: `(N, 3, H, W)` in [0, 1], on a light ground.
        strokes: a drawing.
        seeds: a drawing is made for each; all in one batch.
        start: 'saliency', or 'random' for comparison.
        layers: layer -> weight; default the two in the middle (the release: stages 2 and 3 of RN101).
        relative: divide each layer's loss by the picture's mean square; default: of transformers, whose residual
            streams grow from block to block, but not of convolutional towers (the release: never).
        semantic: whose embedding is compared instead of `clip`'s.
        looks: whose attention says where strokes begin; the release's is ViT-B-32. Default: `clip`.
        masks: `(N, H, W)`, 1 where the object is: the rest becomes white, and no stroke begins there.
        width: of a stroke in pixels.
        steps, lr, schedule: of Adam, over points only; lr in pixels.
        copies: warps, beside the picture itself.
        fill: what warps show outside of the picture: paper, 1; the release's is 0, black wedges in both pictures.
        options: of `clipkit.optimise.optimise`: every, tolerance, checkpoint, film, progress.

    Returns:
        the strokes, N · seeds drawings, pictures first, then seeds; and what `optimise` says, its loss that of the
        drawings themselves, without warps, which also picks the best step of each.
    """
    if masks is not None:
        pictures = pictures * masks[:, None] + (1 - masks[:, None])
    drawn = first_strokes(looks or clip, pictures, strokes, start=start, width=width, seeds=seeds, masks=masks)
    middle = clip.num_layers // 2
    layers = {middle - 1: 1.0, middle: 1.0} if layers is None else layers
    relative = clip.patch_size is not None if relative is None else relative
    parts = [ClipLoss(clip, layers=layers, relative=relative, embedding_weight=0 if semantic else embedding_weight)]
    if semantic is not None:
        parts.append(ClipLoss(semantic, embedding_weight=embedding_weight))
    targets = pictures.repeat_interleave(len(seeds), 0)
    side = clip.image_size[0]
    cutouts = Cutouts(side, copies + 1, perspective=0.5, crop=(0.8, 0.8), fill=fill, plain=True, seed=seeds[0])
    upright = F.interpolate(targets, (side, side), mode="bilinear", antialias=True)

    def compare(now: Tensor, then: Tensor) -> dict[str, Tensor]:
        return {f"{i}.{name}": value for i, part in enumerate(parts) for name, value in part(now, then).items()}

    def judge(now: Tensor) -> Tensor:
        return torch.stack(
            [*compare(F.interpolate(now, (side, side), mode="bilinear", antialias=True), upright).values()]
        ).sum(0)

    found = optimise(
        StrokeDrawing(drawn),
        lambda now: compare(*cutouts(now, targets)),
        steps=steps,
        lr=lr,
        schedule=schedule,
        judge=judge,
        generators=[cutouts.generator],
        about=(drawn.points, targets, width, layers, relative, embedding_weight, lr, copies, fill, clip.weights_hash),
        **options,
    )
    return drawn, found
