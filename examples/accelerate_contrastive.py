"""Accelerate: a small image tower learns a frozen CLIP's words by contrast, on whatever devices there are.

    pip install accelerate && accelerate launch examples/accelerate_contrastive.py     (or python, for one process)

About a minute on a laptop, no download: clipkit's own tiny CLIP and procedural scenes.
"""

import tempfile
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from clipkit.adapters import LogitScale, MultiPositiveLoss
from clipkit.shapes import class_names, render, tiny_clip


class Student(nn.Module):
    """Images into CLIP's space; the frozen CLIP that it holds is neither trained nor saved."""

    def __init__(self):
        super().__init__()
        self.clip = tiny_clip()  # or FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai")
        self.scale = LogitScale()  # keeps itself at or below 100
        layers = [(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in ((3, 32), (32, 64), (64, 128))]
        top = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, self.clip.embed_dim)
        self.tower = nn.Sequential(*sum(layers, ()), *top)

    def forward(self, images, words):
        return self.tower(images), self.clip.encode_text(words), self.scale()


def render_objects(count, seed):
    """Scenes with one object each, and which of the names it has."""
    scenes = render(count, seed=seed, objects=(1, 1), device=accelerator.device)
    return scenes.images, scenes.semantic.masked_fill(scenes.instances == 0, -1).flatten(1).amax(1)


accelerator = Accelerator()
torch.manual_seed(0)
names, loss = class_names(), MultiPositiveLoss()  # scenes that share a name are not each other's negatives
model = Student()
model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=3e-3))
for step in range(150):
    images, ids = render_objects(64, step * accelerator.num_processes + accelerator.process_index)
    value = loss(*model(images, [names[i] for i in ids]), ids)
    optimizer.zero_grad()
    accelerator.backward(value)
    optimizer.step()

with tempfile.TemporaryDirectory() as folder:
    accelerator.save_model(model, folder)
    share = sum(file.stat().st_size for file in Path(folder).iterdir()) / sum(4 * p.numel() for p in model.parameters())
accelerator.print(f"the checkpoint is {100 * share:.0f} % of the model: CLIP's weights are not in it")
images, ids = render_objects(256, 10_000)
with torch.no_grad():
    images, words, _ = accelerator.unwrap_model(model).eval()(images, names)
right = ((images @ words.T).argmax(1) == ids).float().mean()
accelerator.print(f"named rightly among {len(names)}: {100 * right:.1f} %")
