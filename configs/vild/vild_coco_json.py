"""ViLD-text on your own images with a file in COCO's format. No Python needed.

Boxes are enough; masks are not read. Objects of classes that variables.base leaves out stay unlabelled in training, and
their names compete at test time. `clipkit predict` takes any labels. vild_coco_json_distilled.py adds distillation.

Command:   clipkit train vild/vild_coco_json.py --cfg-options variables.train=my/train.json \\
               variables.train_images=my/train variables.val=my/val.json variables.val_images=my/val
Options:   variables.base=my/base.txt     a label file of the classes to train on (default: all of train.json)
           variables.clip / variables.weights   CLIP for the names: an open_clip name, and a tag or a local file
           train_dataloader.dataset.on_bad=skip leaves bad images and boxes out instead of stopping
           train_cfg.max_iters, train_dataloader.batch_size
Hardware:  any; the defaults (ResNet-18 from scratch, up to 640 pixels) suit a GPU or a patient CPU
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["../_base_/vild_r50.py"]

variables = dict(
    train="data/mine/train.json",
    train_images="data/mine/train",
    val="data/mine/val.json",
    val_images="data/mine/val",
    base=None,
    norm="BN",
)
iterations = 5000
size = (640, 640)
load = [dict(type="mmcv.LoadImageFromFile"), dict(type="mmdet.LoadAnnotations", with_bbox=True)]
augment = [
    dict(type="mmcv.RandomResize", scale=size, ratio_range=(0.5, 1.5), keep_ratio=True, resize_type="mmdet.Resize"),
    dict(type="mmdet.RandomCrop", crop_type="absolute", crop_size=size, recompute_bbox=True, allow_negative_crop=True),
    dict(type="mmdet.RandomFlip", prob=0.5),
    dict(type="mmdet.PackDetInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{train}", images="{train_images}", classes="{train}", base_classes="{base}",
        labelled="base", pipeline=[*load, *augment],
    ),
)  # fmt: skip
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{val}", images="{val_images}", classes="{train}", base_classes="{base}",
        pipeline=[
            dict(type="mmcv.LoadImageFromFile"),
            dict(type="mmdet.Resize", scale=size, keep_ratio=True),
            _base_.test_pipeline[-1],
        ],
        test_mode=True,
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(type="DetectionAP", ann_file="{val}")
test_evaluator = val_evaluator

roi_head = dict(
    bbox_roi_extractor=_base_.detector["roi_head"]["bbox_roi_extractor"],
    bbox_head=dict(in_channels=256, norm_cfg=_base_.norm, loss_bbox=dict(type="L1Loss")),
)
model = dict(
    type="ViLD",
    variant="text",
    classes="{train}",
    base_classes="{base}",
    text=_base_.text_rows,
    classifier=dict(type="ViLDClassifier"),
    **{
        **_base_.detector,
        "backbone": dict(_base_.detector["backbone"], depth=18),
        "neck": dict(_base_.detector["neck"], in_channels=[64, 128, 256, 512]),
        "roi_head": roi_head,
    },
)
train_cfg = dict(max_iters=iterations, val_interval=1000)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=5e-4, weight_decay=0.05), clip_grad=dict(max_norm=10.0)
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=200),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=200, end=iterations, eta_min=0),
]
default_hooks = dict(checkpoint=dict(interval=500))
