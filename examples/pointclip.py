"""Clouds of points, named by a CLIP that saw pictures alone: without training, and by an adapter that saw four of each.

    python examples/pointclip.py

About a minute on a CPU, no download: clipkit's own tiny CLIP and its world's twelve shapes in three dimensions.
`clipkit train pointclip/...` trains with everything around it; here is the bare loop.
"""

import torch
from torch.nn import functional as F

from clipkit.data.points import unit_sphere
from clipkit.engine.plugins import load_plugins
from clipkit.shapes import SHAPES, render_clouds, tiny_clip

load_plugins("pointclip")
from clipkit_plugins.pointclip.adapter import InterViewAdapter  # noqa: E402
from clipkit_plugins.pointclip.projection import PaintedViews  # noqa: E402

SHOTS, STEPS = 4, 150
clip, project = tiny_clip(), PaintedViews(size=64)
text = clip.encode_text([f"a {name}" for name in SHAPES])


@torch.no_grad()
def look(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clouds as CLIP sees them from ten sides, `(count, 10, D)`, and what they are."""
    clouds = render_clouds(count, seed=seed)
    points = torch.stack([torch.from_numpy(unit_sphere(cloud.numpy())) for cloud in clouds.points])
    rows = [clip.encode_image(project(part).flatten(0, 1), normalize=False) for part in points.split(8)]
    return torch.cat(rows).view(count, 10, -1), clouds.shape


def score(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Right ones in percent."""
    return 100 * (logits.argmax(1) == labels).double().mean().item()


test, labels = look(72, seed=0)
cosines = F.normalize(test, dim=-1) @ text.T  # (72, 10, 12)
front, mean = score(cosines[:, 0], labels), score(cosines.mean(1), labels)
print(f"without training: front view {front:.1f} %, mean of ten {mean:.1f} %")

torch.manual_seed(0)
train, shapes = look(SHOTS * len(SHAPES), seed=1)
adapter = InterViewAdapter(clip.embed_dim, views=10)
optimizer = torch.optim.AdamW(adapter.parameters(), lr=1e-3, weight_decay=0.05)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def named(views: torch.Tensor) -> torch.Tensor:
    """Logits of all names: the adapted views against the text."""
    adapted = F.normalize(adapter(views).flatten(1), dim=1).view_as(views)
    return clip.logit_scale * adapted.sum(1) @ text.T / 10**0.5


for _ in range(STEPS):
    chosen = torch.randint(len(train), (32,))
    loss = F.cross_entropy(named(train[chosen]), shapes[chosen], label_smoothing=0.2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

adapter.eval()
with torch.no_grad():
    print(f"an adapter that saw {SHOTS} of each: {score(named(test), labels):.1f} %")
