"""LSeg on your own data: folders of images and of masks, and a label file. No Python needed.

Masks are grey or palette PNGs whose values are ids: the line of the class in the label file, from 0; 255 is ignored.
They belong to the picture as it is shown, turned as its EXIF says.
`clipkit browse` with the same options shows what the network will get.

Command:   clipkit train lseg/lseg_folder.py --cfg-options variables.train_images=my/images/train \
             variables.train_masks=my/masks/train variables.val_images=my/images/val variables.val_masks=my/masks/val \
             variables.labels=my/labels.txt
Options:   variables.clip / variables.weights   CLIP for the names: an open_clip name, and a tag or a local file
           train_dataloader.dataset.on_bad=skip leaves damaged pairs out instead of stopping
           train_cfg.max_iters, train_dataloader.batch_size
Hardware:  any; the defaults suit a GPU or a patient CPU
Time:      a step takes about a second on 2 CPU cores
Expected:  depends on your data
"""

default_scope = "clipkit"
plugins = ["lseg"]
variables = dict(
    train_images="data/mine/images/train",
    train_masks="data/mine/masks/train",
    val_images="data/mine/images/val",
    val_masks="data/mine/masks/val",
    labels="data/mine/labels.txt",
    clip="ViT-B-32-quickgelu",
    weights="openai",
)
iterations = 4000
crop = (256, 256)

train_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmseg.LoadAnnotations"),
    dict(
        type="mmcv.RandomChoiceResize",
        scales=[256, 320, 384, 512],
        resize_type="mmseg.ResizeShortestEdge",
        max_size=2048,
    ),
    dict(type="mmseg.RandomCrop", crop_size=crop, cat_max_ratio=0.9),
    dict(type="mmcv.RandomFlip", prob=0.5),
    dict(type="mmseg.PhotoMetricDistortion"),
    dict(type="mmseg.PackSegInputs"),
]
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmcv.Resize", scale=(1024, 384), keep_ratio=True),
    dict(type="mmseg.LoadAnnotations"),
    dict(type="mmseg.PackSegInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="FolderSegDataset",
        image_dir="{train_images}",
        mask_dir="{train_masks}",
        classes="{labels}",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="FolderSegDataset",
        image_dir="{val_images}",
        mask_dir="{val_masks}",
        classes="{labels}",
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SeenUnseenIoU")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(
    type="LSeg",
    data_preprocessor=dict(
        type="mmseg.SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=crop,
        seg_pad_val=255,
    ),
    classes="{labels}",
    text=dict(clip=dict(name="{clip}", pretrained="{weights}")),
    tower=dict(type="mmseg.ResNetV1c", depth=18, norm_cfg=dict(type="BN"), out_indices=(0, 1, 2, 3)),
    decoder=dict(type="FPNDecoder", in_channels=(64, 128, 256, 512), features=128),
    points=4096,
    test_cfg=dict(mode="slide", window=384, stride=256),
)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="SegPictureHook", count=4, height=240)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
