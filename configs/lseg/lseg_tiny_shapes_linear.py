"""The closed baseline of lseg_tiny_shapes.py: mmseg's linear classifier on the same tower, decoder, pixels, schedule.

Its rows for the unseen compositions never had a positive pixel: it cannot say them. Claims C11 and C12 compare the two.

Command:   clipkit train lseg/lseg_tiny_shapes_linear.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      10 minutes (2 cores of an AMD EPYC, shared with other work, 2026-11-21)
Expected:  mIoU seen 74.5, unseen 0 where unseen compositions are in the picture: they are called something seen;
           on scenes of seen classes alone (test_dataloader.dataset.subset=seen) 89.3, LSeg 90.3 (both seed 0)
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(
    _delete_=True,
    type="mmseg.EncoderDecoder",
    data_preprocessor=_base_.data_preprocessor,
    backbone=_base_.model.tower,
    neck=dict(type="clipkit.DecoderNeck", decoder=dict(in_channels=(32, 64, 128, 256), **_base_.model.decoder)),
    decode_head=dict(
        type="clipkit.PointFCNHead",
        points=_base_.model.points,
        points_balance=_base_.model.points_balance,
        in_channels=64,
        channels=64,
        in_index=0,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=102,
        norm_cfg=dict(type="BN"),
        align_corners=False,
        loss_decode=dict(type="mmseg.CrossEntropyLoss", avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
optim_wrapper = dict(
    type="AmpOptimWrapper", dtype="bf16", optimizer=_base_.optim_wrapper.optimizer, clip_grad=dict(max_norm=1.0)
)
custom_hooks = [dict(type="ChannelsLastHook"), dict(type="SegPictureHook", count=8)]
