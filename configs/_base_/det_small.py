"""A small two-stage detector and its training, all from scratch: ResNet-18, 64 channels in the pyramid, for images of
128 to 320 pixels on a CPU."""

default_scope = "clipkit"
plugins = ["vild"]

channels = 64
rpn = dict(nms_pre=300, max_per_img=100, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0)
assigner = dict(
    type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False, ignore_iof_thr=-1
)
data_preprocessor = dict(
    type="DetDataPreprocessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, pad_mask=True, pad_size_divisor=16
)
detector = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type="ResNet", depth=18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 1, 2),
        norm_cfg=dict(type="BN"), norm_eval=False,
    ),
    neck=dict(type="FPN", in_channels=[64, 128, 256], out_channels=channels, num_outs=3),
    rpn_head=dict(
        type="RPNHead", in_channels=channels, feat_channels=channels,
        anchor_generator=dict(type="AnchorGenerator", scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16]),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[1.0] * 4),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True), loss_bbox=dict(type="L1Loss"),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor", roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=channels, featmap_strides=[4, 8, 16], finest_scale=28,
        ),
        bbox_head=dict(
            in_channels=channels, conv_out_channels=channels, fc_out_channels=256, num_shared_convs=2,
            num_shared_fcs=1, norm_cfg=dict(type="BN"), loss_bbox=dict(type="L1Loss"),
        ),
        mask_roi_extractor=dict(
            type="SingleRoIExtractor", roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=channels, featmap_strides=[4, 8, 16], finest_scale=28,
        ),
        mask_head=dict(type="FCNMaskHead", num_convs=2, in_channels=channels, conv_out_channels=channels),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(assigner, pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True),
            sampler=dict(type="RandomSampler", num=64, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1,
        ),
        rpn_proposal=rpn,
        rcnn=dict(
            assigner=assigner,
            sampler=dict(type="RandomSampler", num=48, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=14, pos_weight=-1,
        ),
    ),
    test_cfg=dict(
        rpn=rpn,
        rcnn=dict(score_thr=0.001, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100, mask_thr_binary=0.5),
    ),
)  # fmt: skip

iterations = 2000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AmpOptimWrapper",
    dtype="bf16",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0),
]
visualizer = dict(type="mmdet.DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
