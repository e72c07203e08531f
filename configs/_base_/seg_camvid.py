"""CamVid in SegNet's split (367 train, 101 val, 480 x 360; ids 0..10, 11 = unlabelled), crops of 256.

Cambridge's labelled frames (Brostow et al. 2009) as the SegNet tutorial repacks them, its masks' ids unchanged.
Layout: data/camvid/{images,annotations}/{train,val}/x.{jpg,png}; another place: --cfg-options variables.data=PATH.
"""

default_scope = "clipkit"
plugins = ["lseg"]
variables = dict(data="data/camvid")

classes = [
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
]
unlabelled = 11
iterations = 700

train_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmcv.RandomResize", scale=(480, 360), ratio_range=(0.75, 2.0), keep_ratio=True),
    dict(type="mmseg.RandomCrop", crop_size=(256, 256), cat_max_ratio=0.75, ignore_index=unlabelled),
    dict(type="mmcv.RandomFlip", prob=0.5),
    dict(type="mmseg.PhotoMetricDistortion"),
    dict(type="mmseg.PackSegInputs"),
]
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmseg.PackSegInputs"),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="FolderSegDataset",
        data_root="{data}",
        image_dir="images/train",
        mask_dir="annotations/train",
        classes=classes,
        ignore_index=unlabelled,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="FolderSegDataset",
        data_root="{data}",
        image_dir="images/val",
        mask_dir="annotations/val",
        classes=classes,
        ignore_index=unlabelled,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SeenUnseenIoU", ignore_index=unlabelled)
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

data_preprocessor = dict(
    type="mmseg.SegDataPreProcessor",
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(256, 256),
    seg_pad_val=unlabelled,
)
# Identical in all CamVid configs, so that their heads can be compared.
backbone = dict(type="mmseg.ResNetV1c", depth=18, norm_cfg=dict(type="BN"), out_indices=(0, 1, 2, 3))
decoder = dict(type="FPNDecoder", in_channels=(64, 128, 256, 512), features=128)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="AmpOptimWrapper",
    dtype="bf16",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="SegPictureHook", count=4, height=240)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
