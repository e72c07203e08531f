"""GroupViT on COCO's 80 objects and background, zero-shot: a converted checkpoint, the original's protocol.

Command:   clipkit test groupvit/groupvit_coco.py groupvit.pth --cfg-options variables.data=PATH
Data:      see configs/_base_/seg_cocoobject.py
Hardware:  one GPU
Time:      not measured here
Expected:  not measured here. The original's README prints mIoU 24.3 with GCC and YFCC, 27.5 with GCC and RedCaps.
"""

_base_ = ["../_base_/seg_cocoobject.py", "../_base_/groupvit.py"]

plugins = ["groupvit"]

model = dict(classes=_base_.classes, threshold=0.95)
test_dataloader = dict(dataset=dict(pipeline=_base_.resized_pipeline))
