"""What data sets of more than 255 classes change in `seg_crops.py`: masks of 16 bits, in which 65535 is ignored."""

_base_ = ["./seg_crops.py"]

ignored = 65535
train_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="LoadWideAnnotations"),
    dict(type="mmcv.RandomResize", scale=(520, 520), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="mmcv.Pad", size=_base_.crop, pad_val=dict(img=0, seg=ignored)),
    dict(type="mmseg.RandomCrop", crop_size=_base_.crop, ignore_index=ignored),
    dict(type="mmcv.RandomFlip", prob=0.5),
    dict(type="mmseg.PackSegInputs"),
]
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="LoadWideAnnotations"),
    dict(type="mmseg.PackSegInputs"),
]
train_dataloader = dict(dataset=dict(type="WideSegDataset", classes="{names}", pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type="WideSegDataset", classes="{names}", pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(type="WideSegDataset", classes="{names}", pipeline=test_pipeline))
val_evaluator = dict(ignore_index=ignored)
test_evaluator = dict(ignore_index=ignored)
data_preprocessor = dict(seg_pad_val=ignored)
