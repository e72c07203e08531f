"""Questions about pictures, answered from a frozen CLIP's grid: which colour, how many, is there, where.

    python examples/vqa.py

About two minutes on a CPU, no download: clipkit's own tiny CLIP. `clipkit train vqa/...` trains with everything around
it; here is the bare loop.
"""

from random import Random

import torch

from clipkit.embed.grids import Grid
from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.shapes import Asker, render

load_plugins("vqa")
torch.manual_seed(0)
model = MODELS.build(dict(type="GridVQA", clip="tiny_clip", vocabulary="shapes"))

STEPS, SCENES, ASKED = 400, 16, 8
KINDS = ("colour", "count", "existence", "place")


def look(images: torch.Tensor) -> list[Grid]:
    """The grid of each picture, computed once: CLIP never runs again."""
    grids = []
    for part in images.split(128):
        grid, _ = model.look(part)
        grids += [Grid(*rows) for rows in zip(*grid)]
    return grids


def ask(asker: Asker, scene: int, random: Random) -> list:
    """Questions of a scene, and their answers."""
    found = [asker.ask(scene, random.choice(KINDS), random) for _ in range(ASKED)]
    return [question for question in found if question is not None]


def batch(grids: list[Grid], rows: list[int], asked: list[list]) -> dict:
    """What the model takes."""
    return {
        "cells": [grids[i].cells for i in rows],
        "place": [grids[i].place for i in rows],
        "joint": [grids[i].joint for i in rows],
        "questions": [[question.text for question in own] for own in asked],
        "given": [[[question.answer] * 10 for question in own] for own in asked],
    }


scenes, random = render(1536, seed=1, objects=(2, 3)), Random(0)
asker, grids = Asker(scenes), look(scenes.images)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1.5e-3, weight_decay=0.05)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-3, total_steps=STEPS, pct_start=0.1)
usable = [i for i in range(len(asker)) if len(asker.kinds(i)) > 1]
model.train()
for _ in range(STEPS):
    rows = random.sample(usable, SCENES)
    loss = model(**batch(grids, rows, [ask(asker, i, random) for i in rows]), mode="loss")["loss"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

model.eval()
test = render(256, seed=99, objects=(2, 3))
asker, grids = Asker(test), look(test.images)
for kind in KINDS:
    rows = [i for i in range(len(asker)) if kind in asker.kinds(i)]
    pairs = [(i, question) for i in rows if (question := asker.ask(i, kind, random)) is not None]
    with torch.no_grad():
        found = model(**batch(grids, [i for i, _ in pairs], [[question] for _, question in pairs]), mode="predict")
    right = sum(own["answers"][0] == question.answer for own, (_, question) in zip(found, pairs))
    blind = sum(own["blind"][0] == question.answer for own, (_, question) in zip(found, pairs))
    print(f"{kind}: {100 * right / len(pairs):.1f} % right, without the picture {100 * blind / len(pairs):.1f} %")
