"""GroupViT in the embedded world from scratch: a small convolutional stem, one stage of 8 groups, captions alone. The
text tower is the tiny CLIP's, frozen, which was trained with images of this world: "from captions", not "from nothing".

Command:   clipkit train groupvit/groupvit_tiny_shapes.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      415 s of CPU time (one core of an AMD EPYC, shared with other work, 2026-11-30)
Expected:  mIoU seen 54.2, unseen 47.1, oracle 61.5, found 96.1, precision 84.7 (seed 0, 2026-11-30)
           clusters in the groups' place: clipkit test … --cfg-options model.clusters=tokens (or colours)
"""

_base_ = ["./groupvit_tiny_shapes_frozen.py"]

iterations = 1200

model = dict(
    tokens=dict(_delete_=True, type="StemTokens", channels=(24, 48, 64, 96, 96), strides=(2, 1, 2, 1, 1)),
)
train_dataloader = dict(dataset=dict(length=20480))
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
