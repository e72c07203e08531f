"""The second stage: the tower that audioclip_tiny_shapes.py trained, and a linear map after each of CLIP's two
projections, train together on all three pairs. It costs pictures and texts what it costs; CLIP itself stays frozen.

Command:   clipkit train audioclip/audioclip_tiny_shapes_full.py
           variables.partial=FILE       the first stage's checkpoint
Hardware:  1 CPU core
Time:      not measured here
Expected:  not measured yet
"""

_base_ = ["./audioclip_tiny_shapes.py"]

variables = dict(partial="work_dirs/audioclip_tiny_shapes/iter_450.pth")
iterations = 150

model = dict(
    heads=True,
    pairs=("audio-image", "audio-text", "image-text"),
    init_cfg=dict(type="Pretrained", checkpoint="{partial}"),
)
train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.04, by_epoch=False, begin=0, end=15),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=15, end=iterations, eta_min=0),
]
