"""Linear probes on frozen features: logistic regression with a sweep of C, and ridge regression in closed form.

    python examples/linear_probe.py

Seconds on a laptop, no download. The task is one that the tiny CLIP has no words for: ten letter-like glyphs.
"""

import torch

from clipkit.evaluation import logistic_probe, sweep_logistic, sweep_ridge
from clipkit.shapes import tiny_clip
from clipkit.shapes.glyphs import GLYPHS, render_glyphs

clip = tiny_clip()


def features(count, seed):
    images, labels = render_glyphs(count, seed=seed)
    with torch.no_grad():
        parts = [clip.features(part, dense=False) for part in images.split(250)]
    # Before the projection, not normalised: what CLIP's paper probes in a ViT.
    return torch.cat([part.penultimate for part in parts]), torch.cat([part.embedding for part in parts]), labels


train, train_embedding, train_labels = features(600, seed=1)
val, _, val_labels = features(200, seed=2)
test, test_embedding, test_labels = features(600, seed=3)

words = clip.encode_text([f"a photo of a letter {name}" for name in GLYPHS])
zero_shot = (test_embedding @ words.T).argmax(1) == test_labels
print(f"zero-shot: {100 * zero_shot.float().mean():.1f} % (no caption ever named a glyph; chance is a tenth)")

# C is chosen on validation data; then the probe is fitted again to both.
sweep = sweep_logistic(train, train_labels, val, val_labels)
print(f"sweep: C = {sweep.probe.C:.3g} of {len(sweep.tried)} tried, validation {sweep.accuracy:.1f} %")
both = torch.cat([train, val]), torch.cat([train_labels, val_labels])
probe = logistic_probe(*both, C=sweep.probe.C)
print(f"logistic regression: {probe.accuracy(test, test_labels):.1f} %")

# Every lambda from one eigendecomposition.
ridge = sweep_ridge(train, train_labels, val, val_labels)
print(f"ridge regression: {ridge.probe.accuracy(test, test_labels):.1f} %")
