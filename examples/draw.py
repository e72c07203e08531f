"""A black heart drawn with eight strokes: moved until CLIP's layers see in the drawing what they see in the picture.

    python examples/draw.py

About a minute on a CPU, no download: clipkit's own tiny CLIP. Writes heart.svg. `clipkit draw` does it
with warps, several seeds and a film.
"""

import torch

from clipkit.nn import Strokes, write_svg
from clipkit.optimise import ClipLoss, Cutouts, StrokeDrawing, optimise
from clipkit.shapes import SHAPES, render_outlines, tiny_clip

clip = tiny_clip()
heart = torch.tensor([SHAPES.index("heart")])
picture = render_outlines(1, shapes=heart, still=True, filled=1.0)[0]  # (1, 3, 64, 64), black on white

g = torch.Generator().manual_seed(0)
ink = (picture[0, 0] < 0.5).nonzero()
start = ink[torch.randperm(len(ink), generator=g)[:8]].flip(-1).float() + 0.5  # x, y of eight dark pixels
steps = (torch.rand(8, 3, 2, generator=g) - 0.5) * 6
strokes = Strokes.of(torch.cat([start[:, None], start[:, None] + steps.cumsum(1)], 1), width=2.0, size=(64, 64))

loss = ClipLoss(clip, layers={1: 1.0, 2: 1.0}, relative=True, embedding_weight=0.1)
cutouts = Cutouts(64, 3, crop=(0.8, 0.8), plain=True)  # drawing and picture warped alike


def apart(drawing: torch.Tensor) -> torch.Tensor:
    """How far the drawing is from the picture, as CLIP's layers see both."""
    return torch.stack([*loss(drawing, picture).values()]).sum(0)


with torch.no_grad():
    before = apart(strokes()).item()
found = optimise(
    StrokeDrawing(strokes), lambda now: loss(*cutouts(now, picture)), steps=60, lr=0.7, judge=apart, progress="heart"
)
write_svg(strokes, "heart.svg")
print(f"apart before: {100 * before:.1f} %, after {found.steps} steps: {100 * found.loss.item():.1f} %")
