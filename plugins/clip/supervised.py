"""The closed classifier that zero-shot CLIP is compared with: the same image tower from scratch, with class labels."""

from __future__ import annotations

import math
from typing import Any

import torch
from clipkit_plugins.clip.pretrain import plain_attention
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.backbone import TunableCLIP
from clipkit.data.image_folder import ImageArray
from clipkit.device import autocast_dtype

_CHECK = 100  # steps between looks at the validation set


class SupervisedClassifier(nn.Module):
    """An open_clip image tower with random weights and a linear layer: `(B, 3, H, W)` in [0, 1] to `(B, K)` float32
    logits. The tower computes in bf16 where the device has it in hardware."""

    def __init__(self, classes: int, tower: str = "tiny-shapes") -> None:
        super().__init__()
        self.clip = TunableCLIP.from_pretrained(tower).unfreeze("visual")
        self.head = nn.Linear(self.clip.embed_dim, classes)
        plain_attention(self.clip)

    def forward(self, images: Tensor) -> Tensor:
        dtype = autocast_dtype("auto", images.device)
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            features = self.clip.encode_image(images, normalize=False)
        return self.head(features.float())


def pixels(images: ImageArray, index: Any = slice(None)) -> Tensor:
    """`(B, 3, H, W)` float32 in [0, 1] of images that have one size."""
    return torch.from_numpy(images.images[index]).movedim(-1, 1).float().div_(255)  # type: ignore[index,call-overload]


@torch.no_grad()
def guess(model: nn.Module, images: ImageArray, batch: int = 250) -> Tensor:
    """`(N,)` int64, the class that the model takes each image for."""
    was_training = model.training
    model.eval()
    parts = torch.arange(len(images)).split(batch)
    found = torch.cat([model(pixels(images, part.numpy())).argmax(1) for part in parts])
    model.train(was_training)
    return found


def train_to(
    model: SupervisedClassifier,
    images: ImageArray,
    val: ImageArray,
    target: float,
    *,
    seed: int,
    steps: int = 3000,
    batch: int = 128,
    lr: float = 2e-3,
) -> dict[str, float]:
    """Cross-entropy until the accuracy on `val` reaches `target` percent, or all steps are done: AdamW, weight decay
    0.1, 100 steps of warm-up, cosine. Images are mirrored half of the time.

    Returns:
        the accuracy on `val` that it stopped at, and the steps taken.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.from_numpy(images.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.98), weight_decay=0.1)
    warm = min(100, max(steps // 10, 1))

    def rate(step: int) -> float:
        return (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    accuracy, order = 0.0, torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(images), generator=generator)
        chosen, order = order[:batch], order[batch:]
        views = pixels(images, chosen.numpy())
        mirrored = torch.rand(len(views), generator=generator) < 0.5
        views[mirrored] = views[mirrored].flip(-1)
        loss = F.cross_entropy(model(views), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % _CHECK == 0 or step + 1 == steps:
            accuracy = 100 * (guess(model, val) == torch.from_numpy(val.labels)).double().mean().item()
            if accuracy >= target:
                break
    return {"accuracy": accuracy, "steps": step + 1}
