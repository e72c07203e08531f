"""Lightning: a frozen CLIP inside a LightningModule, which trains the rest and saves the rest alone.

    pip install lightning
    python examples/lightning_fusion.py

About a minute on a laptop, no download: clipkit's own tiny CLIP and procedural scenes.
"""

import tempfile
from pathlib import Path

import lightning
import torch
from torch import nn

from clipkit.adapters import Fusion
from clipkit.shapes import class_names, render, tiny_clip


class Segmenter(lightning.LightningModule):
    """A small network whose features are fused with CLIP's."""

    def __init__(self):
        super().__init__()
        self.clip = tiny_clip()  # or FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai")
        self.body = nn.Sequential(nn.Conv2d(3, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1))
        self.fusion = Fusion(64, self.clip.embed_dim)
        self.head = nn.Conv2d(64, len(class_names()), 1)

    def forward(self, images):
        features = self.fusion(self.body(images), self.clip.features(images).dense)
        return nn.functional.interpolate(self.head(features.relu()), images.shape[-2:], mode="bilinear")

    def training_step(self, seed, _):
        scenes = render(16, seed=int(seed), device=self.device)
        target = scenes.semantic.masked_fill(scenes.instances == 0, -100)  # only objects count
        return nn.functional.cross_entropy(self(scenes.images), target)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)  # nothing of CLIP asks for a gradient


lightning.seed_everything(0)
model = Segmenter()
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=1, accelerator="auto", devices=1, **quiet)
trainer.fit(model, torch.utils.data.DataLoader(range(150), batch_size=None))

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "segmenter.ckpt"
    trainer.save_checkpoint(file, weights_only=True)
    share = 100 * file.stat().st_size / sum(p.numel() * p.element_size() for p in model.parameters())
    print(f"the checkpoint is {share:.0f} % of the model: CLIP's weights are not in it")
    again = Segmenter.load_from_checkpoint(file, map_location="cpu").eval()
with torch.no_grad():
    scenes = render(64, seed=10_000)
    right = (again(scenes.images).argmax(1) == scenes.semantic)[scenes.instances > 0].float().mean()
print(f"pixels of objects named rightly: {100 * right:.1f} %")
