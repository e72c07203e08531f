"""The frozen variant on the hard split: a decoder on the frozen tiny CLIP's maps, whole shapes unseen.

Command:   clipkit train lseg/lseg_tiny_shapes_shape_frozen.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      14 minutes on one core (AMD EPYC, shared, 2026-11-21)
Expected:  mIoU seen 69.6, unseen 29.5, harmonic mean 41.4 (seed 0, 2026-11-21)
"""

_base_ = ["./lseg_tiny_shapes_frozen.py"]

model = dict(train_classes="shapes:shape")
train_dataloader = dict(dataset=dict(split="shape"))
val_dataloader = dict(dataset=dict(split="shape"))
test_dataloader = dict(dataset=dict(split="shape"))
