"""From words to coloured strokes: CLIPDraw (Frans et al., 2021, arXiv:2106.14843)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clipkit.backbone import FrozenCLIP
from clipkit.nn import Strokes
from clipkit.optimise import ClipLoss, Cutouts, Goal, Optimised, StrokeDrawing, optimise

_JITTER = 0.1  # of the side: how far a control point is from the one before
_AWAY = -0.3  # weight of what the drawing shall not be


def scattered_strokes(count: int, size: tuple[int, int], seeds: Sequence[int]) -> Strokes:
    """`count` paths for each seed, of one to three cubics each, of random colours and opacities, a pixel wide."""
    points: list[Tensor] = []
    segments, path, colour, opacity = [], [], [], []
    side = torch.tensor([size[1], size[0]])
    start = 0
    for place, seed in enumerate(seeds):
        g = torch.Generator().manual_seed(seed)
        for number in range(count):
            cubics = int(torch.randint(1, 4, (), generator=g))
            steps = _JITTER * (torch.rand(3 * cubics, 2, generator=g) - 0.5)
            first = torch.rand(1, 2, generator=g)
            points.append(torch.cat([first, first + steps.cumsum(0)]) * side)
            segments += [[start + 3 * i + k for k in range(4)] for i in range(cubics)]
            path += [place * count + number] * cubics
            start += 3 * cubics + 1
        look = torch.rand(count, 4, generator=g)
        colour.append(look[:, :3])
        opacity.append(look[:, 3])
    return Strokes(
        torch.cat(points), torch.tensor(segments), torch.tensor(path), torch.ones(count * len(seeds)),
        torch.cat(colour), torch.cat(opacity),
        size=size, drawing=torch.arange(len(seeds)).repeat_interleave(count), drawings=len(seeds),
    )  # fmt: skip


def steps_down(share: float) -> float:
    """The release's schedule: 0.4 of the rate from half of the steps on, 0.1 from three quarters."""
    return 1.0 if share < 0.5 else 0.4 if share < 0.75 else 0.1


def clipdraw(
    clip: FrozenCLIP,
    words: str,
    *,
    away_from: Sequence[str] = (),
    strokes: int = 256,
    seeds: Sequence[int] = (0,),
    size: tuple[int, int] = (224, 224),
    steps: int = 1000,
    lr: float = 1.0,
    copies: int = 4,
    **options: Any,
) -> tuple[Strokes, Optimised]:
    """Moves scattered strokes until CLIP says that they look like `words`: −cos over `copies` warps of the drawing, and
    + 0.3 cos to each of `away_from`. Widths go at a tenth of the rate of points, between 1 and 50 pixels, colours and
    opacities at a hundredth.

    Such a drawing fools the CLIP it was made for: what that CLIP says of it is no measure of it.

    Args:
        options: of `clipkit.optimise.optimise`: every, tolerance, checkpoint, film, progress; `schedule`, default
            `steps_down`.

    Returns:
        the strokes, a drawing a seed, and what `optimise` says.
    """
    drawn = scattered_strokes(strokes, size, seeds)
    goals = [Goal(words), *(Goal(other, _AWAY) for other in away_from)]
    loss = ClipLoss(clip, goals, distance="cosine")
    cutouts = Cutouts(clip.image_size[0], copies, perspective=0.5, crop=(0.7, 0.9), seed=seeds[0])
    moved = {"points": 1.0, "width": 0.1, "colour": 0.01, "opacity": 0.01}
    found = optimise(
        StrokeDrawing(drawn, moved, widths=(1.0, 50.0)),
        lambda now: loss(*cutouts(now)),
        steps=steps,
        lr=lr,
        generators=[cutouts.generator],
        about=(words, *away_from, list(seeds), lr, copies, clip.weights_hash),
        **{"schedule": steps_down, **options},
    )
    return drawn, found
