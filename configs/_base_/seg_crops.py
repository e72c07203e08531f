"""How LSeg's original feeds photos (its code and PyTorch-Encoding's): for training the long side is 0.5 to 2 times 520,
black is added below 480, crops of 480, half of them mirrored, values in [-1, 1]; tests see the image as it is.

The data sets' configs put their paths in. Scales and windows of a test belong to the model's test_cfg.
"""

default_scope = "clipkit"
plugins = ["lseg"]

crop = (480, 480)
train_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmcv.RandomResize", scale=(520, 520), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="mmcv.Pad", size=crop, pad_val=dict(img=0, seg=255)),
    dict(type="mmseg.RandomCrop", crop_size=crop),
    dict(type="mmcv.RandomFlip", prob=0.5),
    dict(type="mmseg.PackSegInputs"),
]
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmseg.PackSegInputs"),
]
train_dataloader = dict(
    batch_size=2,  # a GPU; 8 of them make LSeg's 16
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(data_root="{data}", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(data_root="{data}", pipeline=test_pipeline, test_mode=True),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(data_root="{data}", pipeline=test_pipeline, test_mode=True),
)
val_evaluator = dict(type="SeenUnseenIoU")
test_evaluator = dict(type="SeenUnseenIoU")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

data_preprocessor = dict(
    type="mmseg.SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, size=crop, seg_pad_val=255
)
