"""Cityscapes with 19 classes: 2,975 training and 500 validation images of 2048 x 1024; base 2048, crops of 768.

Layout: cityscapes/{leftImg8bit,gtFine}/{train,val}/city/x_leftImg8bit.png, x_gtFine_labelTrainIds.png (0..18, 255
ignored), as the official tools write them. Another place: --cfg-options variables.data=PATH.
"""

_base_ = ["./seg_crops.py"]

variables = dict(data="data/cityscapes")
classes = "dataset:mmseg.CityscapesDataset"

crop = (768, 768)
train_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmcv.RandomResize", scale=(2048, 2048), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="mmcv.Pad", size=crop, pad_val=dict(img=0, seg=255)),
    dict(type="mmseg.RandomCrop", crop_size=crop),
    dict(type="mmcv.RandomFlip", prob=0.5),
    dict(type="mmseg.PackSegInputs"),
]
train = dict(
    type="mmseg.CityscapesDataset",
    data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
    pipeline=train_pipeline,
)
val = dict(type="mmseg.CityscapesDataset", data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"))
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
data_preprocessor = dict(size=crop)
