"""The host of fcn_tiny_shapes_fused.py: mmseg's own FCN config (R50-D8), with a ResNet-18 of half its channels, on 1 %
of the embedded world's training scenes.

Command:   clipkit train fusion/fcn_tiny_shapes.py       (10 %: --cfg-options train_dataloader.dataset.length=2048)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      4 to 5 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  mIoU 16.7 over the 78 seen classes, 31.7 with 10 % of the scenes (means of seeds 10 to 12)
"""

_base_ = ["mmseg::_base_/models/fcn_r50-d8.py", "../_base_/seg_shapes_data.py"]

norm_cfg = dict(type="BN", requires_grad=True)
# The full-size logits of 102 classes cost more than the network: the loss sees drawn pixels, small classes more often.
head = dict(
    type="clipkit.PointFCNHead", points=256, points_balance=0.5, num_classes=102, channels=64, norm_cfg=norm_cfg
)
model = dict(
    _scope_="mmseg",
    pretrained=None,
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, base_channels=32, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=256, **head),
    auxiliary_head=dict(in_channels=128, **head),
)

iterations = 1000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
train_dataloader = dict(batch_size=16, dataset=dict(length=205))
val_dataloader = dict(dataset=dict(subset="seen", length=512))
test_dataloader = val_dataloader
optim_wrapper = dict(
    type="AmpOptimWrapper",
    dtype="bf16",
    optimizer=dict(type="AdamW", lr=3e-3, weight_decay=0.02),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="SegPictureHook", count=8)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
