"""Fusion: a frozen CLIP's dense features join a small host network that learns to segment.

    python examples/fusion.py

About a minute on a laptop, no download: clipkit's own tiny CLIP and procedural scenes.
"""

import torch
from torch import nn

from clipkit.adapters import Fusion
from clipkit.shapes import class_names, render, tiny_clip

torch.manual_seed(0)
clip = tiny_clip()  # or FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai")
classes = len(class_names())


class Host(nn.Module):
    """Any network with a feature map; `fusion` is the only line that knows CLIP."""

    def __init__(self, fused):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1)
        )
        self.fusion = Fusion(64, clip.embed_dim, mode="film") if fused else None
        self.head = nn.Conv2d(64, classes, 1)

    def forward(self, images):
        features = self.body(images)
        if self.fusion is not None:
            features = self.fusion(features, clip.features(images).dense)  # zero-initialised: starts as the identity
        return nn.functional.interpolate(self.head(features.relu()), images.shape[-2:], mode="bilinear")


for fused in (False, True):
    torch.manual_seed(0)
    model = Host(fused)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(150):
        scenes = render(16, seed=step)
        target = scenes.semantic.masked_fill(scenes.instances == 0, -100)  # only objects count, not what they lie on
        loss = nn.functional.cross_entropy(model(scenes.images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scenes = render(64, seed=10_000)
        right = (model(scenes.images).argmax(1) == scenes.semantic)[scenes.instances > 0].float().mean()
    print(f"{'host + CLIP' if fused else 'host alone ':11s}  pixels of objects named rightly: {100 * right:.1f} %")
