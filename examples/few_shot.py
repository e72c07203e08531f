"""Few-shot adapters on a frozen CLIP: Tip-Adapter, Tip-Adapter-F, CLIP-Adapter and CoOp at four images a class.

    python examples/few_shot.py

A minute on a laptop, no download: four textures, whose bare words the tiny CLIP knows badly.
"""

import torch
from torch.nn.functional import cross_entropy, normalize

from clipkit.adapters import ClipAdapter, PromptLearner, TipAdapter
from clipkit.data.shots import draw_shots
from clipkit.shapes import TEXTURES, render, tiny_clip

clip = tiny_clip()
scale = clip.logit_scale


def embed(count, seed):
    scenes = render(count, seed=2**41 + seed, objects=(1, 1))
    return torch.cat([clip.encode_image(x, normalize=False) for x in scenes.images.split(250)]), scenes.texture[:, 0]


pool, pool_labels = embed(200, 1)
test, test_labels = embed(500, 2)
chosen, held = draw_shots(pool_labels, shots=4, seed=0)  # four images a class, and four for validation
shots, labels, val, val_labels = pool[chosen], pool_labels[chosen], pool[held], pool_labels[held]
rows = clip.encode_text([f"a photo of a {name}" for name in TEXTURES])


def train(parameters, logits, steps, rate):
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    for _ in range(steps):
        loss = cross_entropy(logits(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def show(name, logits):
    print(f"{name:14} {100 * (logits.argmax(1) == test_labels).float().mean():.1f} %")


show("zero-shot", scale * normalize(test, dim=-1) @ rows.T)

tip = TipAdapter(shots, labels, rows, scale)
tip.search(val, val_labels)  # alpha and beta, on validation examples
show("Tip-Adapter", tip(test))

tip_f = TipAdapter(shots, labels, rows, scale, alpha=tip.alpha, beta=tip.beta, learn_keys=True)
train(tip_f.parameters(), lambda: tip_f(shots), 50, 1e-3)
tip_f.search(val, val_labels)
show("Tip-Adapter-F", tip_f(test))

adapter = ClipAdapter(rows, scale, ratio=0.6)
train(adapter.parameters(), lambda: adapter(shots), 100, 1e-3)
show("CLIP-Adapter", adapter(test))

learner = PromptLearner(clip, TEXTURES, context=8)
unit = normalize(shots, dim=-1)
train(learner.parameters(), lambda: scale * unit @ learner().T, 60, 1e-2)
with torch.no_grad():
    show("CoOp", scale * normalize(test, dim=-1) @ learner().T)
