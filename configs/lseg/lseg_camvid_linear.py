"""The baseline of lseg_camvid.py: mmseg's own linear classifier on the same backbone, decoder, crops and schedule.

Command:   clipkit train lseg/lseg_camvid_linear.py     (data elsewhere: --cfg-options variables.data=PATH)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      8 minutes (Intel Xeon with AMX, 2026-11-21)
Expected:  mIoU 33.1 (seed 0, 700 iterations, 2026-11-21)
"""

_base_ = ["../_base_/seg_camvid.py"]

model = dict(
    type="mmseg.EncoderDecoder",
    data_preprocessor=_base_.data_preprocessor,
    backbone=_base_.backbone,
    neck=dict(type="clipkit.DecoderNeck", decoder=_base_.decoder),
    decode_head=dict(
        type="mmseg.FCNHead",  # without convolutions: conv_seg, a 1x1 convolution to the classes, is all of it
        in_channels=128,
        channels=128,
        in_index=0,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=11,
        ignore_index=_base_.unlabelled,
        norm_cfg=dict(type="BN"),
        align_corners=False,
        loss_decode=dict(type="mmseg.CrossEntropyLoss", avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
