"""GroupViT in the embedded world on the frozen tiny CLIP's own tokens, from captions alone: one stage of 8 groups, each
phrase of a caption meets its best group.

Command:   clipkit train groupvit/groupvit_tiny_shapes_frozen.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      not measured yet
Expected:  not measured yet
"""

_base_ = ["../_base_/groupvit_shapes.py"]

iterations = 800

model = dict(
    type="GroupViT",
    data_preprocessor=_base_.data_preprocessor,
    classes="shapes",
    text=dict(clip="tiny_clip"),
    # CLIP's grid has a step of 8 pixels, too coarse for these scenes: 4 here, by running its stem à trous.
    tokens=dict(type="FrozenTokens", dim=96, width=144, stride=4, cache=True),
    encoder=dict(dim=96, heads=4, depths=(0, 2), tokens=(8, 0), groups=(8, 0), cosine=True, init="unit"),
    hidden=256,
    losses=dict(caption=0.5, phrases=0.0, groups=1.0),
)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
