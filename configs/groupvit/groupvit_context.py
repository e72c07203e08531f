"""GroupViT on PASCAL-Context, 59 classes and background, zero-shot: a converted checkpoint, the original's protocol.

Command:   clipkit test groupvit/groupvit_context.py groupvit.pth --cfg-options variables.data=PATH
Data:      see configs/_base_/seg_pc60.py
Hardware:  one GPU
Time:      not measured here
Expected:  not measured here. The original's README prints mIoU 22.4 with GCC and YFCC, 23.7 with GCC and RedCaps.
"""

_base_ = ["../_base_/seg_pc60.py", "../_base_/groupvit.py"]

plugins = ["groupvit"]

model = dict(classes=_base_.classes, threshold=0.35)
test_dataloader = dict(dataset=dict(pipeline=_base_.resized_pipeline))
