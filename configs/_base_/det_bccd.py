"""BCCD's microscope photos (205 train, 87 val, 640 x 480, Pascal VOC's layout) at half size; three kinds of cells.

The BCCD_Dataset repository on GitHub (Shenggan, MIT licence) as it is, its folder BCCD.
Layout: data/bccd/{JPEGImages,Annotations,ImageSets/Main}; another place: --cfg-options variables.data=PATH.
A few boxes have no area: they are counted, named and left out (on_bad="skip").
"""

_base_ = ["./det_small.py"]

variables = dict(data="data/bccd")
classes = ["red blood cell", "white blood cell", "platelet"]
rename = dict(RBC="red blood cell", WBC="white blood cell", Platelets="platelet")
iterations = 600

train_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmdet.LoadAnnotations", with_bbox=True),
    dict(type="mmcv.RandomResize", scale=(320, 240), ratio_range=(0.8, 1.25), keep_ratio=True,
         resize_type="mmdet.Resize"),
    dict(type="mmdet.RandomFlip", prob=[0.25, 0.25], direction=["horizontal", "vertical"]),
    dict(type="mmdet.PackDetInputs"),
]  # fmt: skip
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmdet.Resize", scale=(320, 240), keep_ratio=True),
    dict(
        type="mmdet.PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="VocXmlDataset", data_root="{data}", split="train", classes=classes, rename=rename, on_bad="skip",
        pipeline=train_pipeline,
    ),
)  # fmt: skip
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VocXmlDataset", data_root="{data}", split="val", classes=classes, rename=rename, on_bad="skip",
        pipeline=test_pipeline, test_mode=True,
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(type="DetectionAP")
test_evaluator = val_evaluator

train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0),
]
