"""The frozen variant on the hard split: a decoder on the frozen tiny CLIP's maps, whole shapes unseen.

Command:   clipkit train lseg/lseg_tiny_shapes_shape_frozen.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      not yet measured; half the schedule 15 minutes on one thread of an AMD EPYC that other work shared
Expected:  after half the schedule (train_cfg.max_iters=600 param_scheduler.1.end=600), seed 0, 2026-11-21: mIoU seen
           69.0, unseen 30.1, harmonic mean 41.9
"""

_base_ = ["./lseg_tiny_shapes_frozen.py"]

model = dict(train_classes="shapes:shape")
train_dataloader = dict(dataset=dict(split="shape"))
val_dataloader = dict(dataset=dict(split="shape"))
test_dataloader = dict(dataset=dict(split="shape"))
