"""GLIP's detector for the released weights: Swin, a pyramid of five levels, ATSS, text by BERT.

BERT's `config.json` and `vocab.txt` (bert-base-uncased) lie in variables.bert: --cfg-options variables.bert=FOLDER.
"""

default_scope = "clipkit"
plugins = ["glip"]
variables = dict(bert="data/bert-base-uncased")

load = [dict(type="mmdet.LoadImageFromFile"), dict(type="mmdet.LoadAnnotations", with_bbox=True)]
test_pipeline = [
    dict(type="mmdet.LoadImageFromFile"),
    dict(type="mmdet.FixScaleResize", scale=(800, 1333), keep_ratio=True),
    dict(type="mmdet.LoadAnnotations", with_bbox=True),
    dict(
        type="mmdet.PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "prompts", "phrase_truth"),
    ),
]
model = dict(
    type="GLIP",
    text=dict(type="clipkit.BertPrompts", folder="{bert}"),
    data_preprocessor=dict(
        type="DetDataPreprocessor", mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="SwinTransformer", embed_dims=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7,
        drop_path_rate=0.2, out_indices=(1, 2, 3), convert_weights=False,
    ),
    neck=dict(
        type="FPN", in_channels=[192, 384, 768], out_channels=256, start_level=0, relu_before_extra_convs=True,
        add_extra_convs="on_output", num_outs=5,
    ),
    bbox_head=dict(
        in_channels=256,
        channels=256,
        blocks=6,
        deep=True,
        offsets="kernel",
        anchor_generator=dict(
            type="AnchorGenerator", ratios=[1.0], octave_base_scale=8, scales_per_octave=1,
            strides=[8, 16, 32, 64, 128], center_offset=0.5,
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoderForGLIP", target_stds=[0.1, 0.1, 0.2, 0.2]),
    ),
    train_cfg=dict(assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(
        score_thr=0.05, nms_pre=1000, max_per_img=100, nms=dict(type="nms", iou_threshold=0.6), nms_over="class",
        chunk_tokens=256,
    ),
)  # fmt: skip
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={"text": dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=1.0),
)
visualizer = dict(type="mmdet.DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
