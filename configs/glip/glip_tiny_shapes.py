"""GLIP in the embedded world, shallow: scenes of 64 pixels, asked by lists of names and by captions.

Only 72 seen pairs of colour and shape are in the training scenes and their prompts; at test time 96 names compete.

Command:   clipkit train glip/glip_tiny_shapes.py      (one suppression over all names: clipkit test
           glip/glip_tiny_shapes.py work_dirs/glip_tiny_shapes --cfg-options model.test_cfg.nms_over=all)
Hardware:  1 CPU core (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured
Expected:  not yet measured
"""

default_scope = "clipkit"
plugins = ["glip"]

classes = "shapes:objects"
seen = "shapes:objects:composition"
width = 96
iterations = 1200

data_preprocessor = dict(
    type="DetDataPreprocessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, pad_size_divisor=16
)
model = dict(
    type="GLIP",
    classes=classes,
    text=dict(type="clipkit.ClipPrompts", clip="tiny_clip", width=width, layers=1, heads=4),
    data_preprocessor=data_preprocessor,
    # A small tower sees the pixels; the frozen CLIP, whose cells are 8 pixels wide, adds what it knows of them.
    backbone=dict(
        type="clipkit.FusedBackbone",
        host=dict(type="clipkit.ConvTower", channels=(32, 64, width), blocks=(1, 1, 1)),
        clip="tiny_clip",
        data_preprocessor=data_preprocessor,
        features="maps",
        layers=(0, 3),
        levels=(2,),
        host_channels=(32, 64, width),
    ),
    neck=dict(
        type="FPN", in_channels=[32, 64, width], out_channels=width, start_level=2, num_outs=2,
        add_extra_convs="on_output",
    ),
    bbox_head=dict(
        in_channels=width,
        channels=width,
        blocks=2,
        deep=False,
        offsets=None,
        fuse=dict(dim=width, heads=4, dropout=0.0),
        text_layer=dict(heads=4, dropout=0.0),
        anchor_generator=dict(
            type="AnchorGenerator", ratios=[1.0], octave_base_scale=3, scales_per_octave=1, strides=[8, 16],
            center_offset=0.5,
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2]),
    ),
    train_cfg=dict(assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(
        score_thr=0.001, nms_pre=1000, max_per_img=100, nms=dict(type="nms", iou_threshold=0.6), nms_over="class",
        chunk_tokens=256,
    ),
)  # fmt: skip

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="ShapesGroundingDataset",
        length=8192,
        seed=1,
        subset="seen",
        pipeline=[
            dict(type="GroundingPrompt", classes=seen, names=(6, 12), hard=0.5, empty=0.25, single=0.1, captions=0.25),
            dict(type="mmdet.PackDetInputs", meta_keys=("img_id", "img_shape", "prompt", "object_phrases")),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ShapesGroundingDataset",
        length=512,
        seed=2,
        test_mode=True,
        pipeline=[
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=(
                    "img_id", "ori_shape", "img_shape", "scale_factor", "instances", "prompts", "phrase_truth",
                ),
            ),
        ],
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = [dict(type="DetectionAP", kinds="bbox"), dict(type="PhraseRecall")]
test_evaluator = val_evaluator

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AmpOptimWrapper",
    dtype="bf16",
    optimizer=dict(type="AdamW", lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=2.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
visualizer = dict(type="mmdet.DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
