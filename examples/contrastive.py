"""The contrastive objective with clipkit's loss: two small towers learn which vector goes with which.

    python examples/contrastive.py

Half a minute on a laptop, no download. The "images" are noisy random projections of hidden codes, the "texts" are
others. The loss runs in chunks, so its memory grows with the batch and not with the batch squared.
"""

import torch
from torch import nn

from clipkit.adapters import ContrastiveLoss, LogitScale, MultiPositiveLoss

torch.manual_seed(0)
view_a, view_b = torch.randn(8, 64), torch.randn(8, 32)


def batch(size):
    code = torch.randn(size, 8)
    return code @ view_a + 0.3 * torch.randn(size, 64), code @ view_b + 0.3 * torch.randn(size, 32)


image_tower = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 16))
text_tower = nn.Sequential(nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 16))
scale = LogitScale()  # learned, starts at 1 / 0.07, stays at or below 100
loss = ContrastiveLoss(chunk=128)  # chunk=None is the plain form: same value, same gradients

parameters = [*image_tower.parameters(), *text_tower.parameters(), *scale.parameters()]
optimizer = torch.optim.AdamW(parameters, lr=3e-3)
for step in range(300):
    images, texts = batch(512)
    value = loss(image_tower(images), text_tower(texts), scale())
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    if step % 100 == 0 or step == 299:
        print(f"step {step:3d}   loss {value.item():.3f}   scale {scale().item():.1f}")

with torch.no_grad():
    images, texts = batch(1000)
    similarity = nn.functional.normalize(image_tower(images)) @ nn.functional.normalize(text_tower(texts)).T
    recall = (similarity.argmax(1) == torch.arange(1000)).float().mean()
print(f"image to text R@1 among 1,000: {100 * recall:.1f} %")

# Where classes repeat in a batch, two captions of one class are no negatives of each other:
x = nn.functional.normalize(torch.randn(3, 16))[[0, 0, 1, 2]]
ids = torch.tensor([0, 0, 1, 2])
print(f"repeated class, perfect embeddings: InfoNCE {ContrastiveLoss()(x, x, 100.0).item():.3f}", end=", ")
print(f"soft targets {MultiPositiveLoss()(x, x, 100.0, ids).item():.3f}")
