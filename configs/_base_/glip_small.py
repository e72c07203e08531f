"""A small GLIP, all from scratch beside the tiny CLIP: for images of 64 to 320 pixels on a CPU."""

width = 96

preprocessor = dict(type="DetDataPreprocessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, pad_size_divisor=16)
grounder = dict(
    type="GLIP",
    text=dict(type="clipkit.ClipPrompts", clip="tiny_clip", width=width, layers=1, heads=4),
    data_preprocessor=preprocessor,
    # A small tower sees the pixels; the frozen CLIP, whose cells are 8 pixels wide, adds what it knows of them.
    backbone=dict(
        type="clipkit.FusedBackbone",
        host=dict(type="clipkit.ConvTower", channels=(32, 64, width), blocks=(1, 1, 1)),
        clip="tiny_clip",
        data_preprocessor=preprocessor,
        features="maps",
        layers=(0, 3),
        normalize=False,
        zero_init=False,
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
