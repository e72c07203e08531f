"""ViLD's detector and training as the authors released them (tensorflow/tpu, vild_resnet.yaml), on mmdet's parts.

Mask R-CNN, ResNet-50 with a pyramid P2 to P6, batch norms over all GPUs, 1024 pixels, from scratch, large-scale jitter.
The rate is for 256 images a step: with fewer, scale optim_wrapper.optimizer.lr with them, or accumulate. Not as there:
mmdet's RPN has no batch norm in its two convolutions.
"""

default_scope = "clipkit"
plugins = ["vild"]
# norm: SyncBN for several GPUs, BN for one or a CPU.
variables = dict(clip="ViT-B-32-quickgelu", weights="openai", norm="SyncBN")

size = (1024, 1024)
text_rows = dict(clip=dict(name="{clip}", pretrained="{weights}"), templates="vild", cache_dir="work_dirs/text")

# Everything after loading: the teacher's regions follow it too, see `TeacherRegions`.
augment = [
    dict(type="mmcv.RandomResize", scale=size, ratio_range=(0.1, 2.0), keep_ratio=True, resize_type="mmdet.Resize"),
    dict(
        type="mmdet.RandomCrop", crop_type="absolute_range", crop_size=size, recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type="mmdet.FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type="mmdet.RandomFlip", prob=0.5),
    dict(type="mmdet.PackDetInputs"),
]  # fmt: skip
load = [dict(type="mmcv.LoadImageFromFile"), dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True)]
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmdet.Resize", scale=size, keep_ratio=True),
    dict(
        type="mmdet.PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"),
    ),
]

norm = dict(type="{norm}", requires_grad=True)
strides = [4, 8, 16, 32, 64]
rpn = dict(nms_pre=2000, max_per_img=1000, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0)
sampler = dict(type="RandomSampler", num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
assigner = dict(
    type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False, ignore_iof_thr=-1
)
detector = dict(
    data_preprocessor=dict(
        type="DetDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
        pad_mask=True, pad_size_divisor=64,
    ),
    backbone=dict(
        type="ResNet", depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=-1, norm_cfg=norm,
        norm_eval=False, style="pytorch",
    ),
    neck=dict(type="FPN", in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5, norm_cfg=norm),
    rpn_head=dict(
        type="RPNHead", in_channels=256, feat_channels=256, num_convs=2,
        anchor_generator=dict(type="AnchorGenerator", scales=[8], ratios=[0.5, 1.0, 2.0], strides=strides),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True), loss_bbox=dict(type="L1Loss"),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            type="clipkit.WideRoIExtractor", roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
            out_channels=256, featmap_strides=strides[:4],
        ),
        bbox_head=dict(in_channels=256, norm_cfg=norm, fc_norm="{norm}", loss_bbox=dict(type="L1Loss")),
        mask_roi_extractor=dict(
            type="clipkit.WideRoIExtractor", roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=256, featmap_strides=strides[:4],
        ),
        mask_head=dict(type="FCNMaskHead", num_convs=4, in_channels=256, conv_out_channels=256, norm_cfg=norm),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(assigner, pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True),
            sampler=dict(sampler, num=256, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1,
        ),
        rpn_proposal=rpn,
        rcnn=dict(assigner=assigner, sampler=sampler, mask_size=28, pos_weight=-1),
    ),
    test_cfg=dict(
        rpn=dict(rpn, nms_pre=1000),
        # The release has 0. A score below 1e-4 is hardly among the best 300, and a million boxes cost minutes.
        rcnn=dict(score_thr=1e-4, nms=dict(type="nms", iou_threshold=0.5), max_per_img=300, mask_thr_binary=0.5),
    ),
)  # fmt: skip

iterations = 180000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AmpOptimWrapper", dtype="bf16", optimizer=dict(type="SGD", lr=0.32, momentum=0.9, weight_decay=4e-5)
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=iterations, milestones=[162000, 171000, 175500], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(type="clipkit.AtomicCheckpointHook", interval=5000))
visualizer = dict(type="mmdet.DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
