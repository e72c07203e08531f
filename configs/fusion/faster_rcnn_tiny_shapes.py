"""The host of faster_rcnn_tiny_shapes_fused.py: mmdet's own Faster R-CNN config (R50-FPN), with ResNet-18 and few
channels, on 10 % of the embedded world's training scenes, all 96 classes labelled.

Command:   clipkit train fusion/faster_rcnn_tiny_shapes.py
Hardware:  2 CPU cores
Time:      8 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  AP50 over all 96 classes 30.4 (seed 0)
"""

_base_ = ["mmdet::_base_/models/faster-rcnn_r50_fpn.py", "../_base_/det_shapes.py"]

model = dict(
    _scope_="mmdet",
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=96),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=48))),
)

iterations = 600
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
train_dataloader = dict(
    dataset=dict(
        length=410,
        labelled="all",
        teacher=None,
        pipeline=[dict(type="mmdet.RandomFlip", prob=0.5), dict(type="mmdet.PackDetInputs")],
    )
)
val_evaluator = dict(kinds=["bbox"])
test_evaluator = val_evaluator
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
