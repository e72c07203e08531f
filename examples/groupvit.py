"""Segmentation from captions alone: groups of a frozen CLIP's tokens learn what phrases are about.

    python examples/groupvit.py

About three minutes on a CPU, no download: clipkit's own tiny CLIP. `clipkit train groupvit/...` trains with everything
around it; here is the bare loop.
"""

import torch

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.shapes import class_names, render

load_plugins("groupvit")
torch.manual_seed(0)
model = MODELS.build(
    dict(
        type="GroupViT",
        classes=class_names(),  # 102, which training never sees
        text=dict(clip="tiny_clip"),
        tokens=dict(type="FrozenTokens", dim=96, width=144, stride=4),
        encoder=dict(dim=96, heads=4, depths=(0, 2), tokens=(8, 0), groups=(8, 0), cosine=True, init="unit"),
        hidden=256,
        losses=dict(caption=0.5, phrases=0.0, groups=1.0),
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", bgr_to_rgb=False),
    )
)

STEPS, BATCH = 120, 96
scenes = render(1536, seed=1, subset="seen")
clip, tokens = model.text.clip, model.tokens
seen = torch.cat([tokens.of(images, clip) for images in scenes.images.split(BATCH)])  # CLIP's tokens, once
told = scenes.tell()
captions = [caption.text for caption in told]
phrases = [[caption.text[span.start : span.end] for span in caption.spans] for caption in told]

optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.05)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=STEPS, pct_start=0.1)
model.train()
for _ in range(STEPS):
    rows = torch.randperm(len(seen))[:BATCH]
    losses = model.losses(seen[rows], [captions[i] for i in rows], [phrases[i] for i in rows])
    loss = losses["loss_caption"] + losses["loss_groups"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

model.eval()
test = render(128, seed=99)
with torch.no_grad():
    names = model.encode_decode(255 * test.images).argmax(1)
grounds = test.semantic >= 96
right = (names == test.semantic).float()
print(f"pixels of ground named rightly among 102 names: {100 * right[grounds].mean():.1f} %")
print(f"pixels of objects named rightly: {100 * right[~grounds].mean():.1f} %")
