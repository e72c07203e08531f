"""A user's config of clipkit 0.1.0 (commit 02f8ef5): ways to write a CLIP, apart from those of the other two."""

plugins = ["clip4clip", "dense_clip"]

preprocessor = dict(mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True)
models = [
    dict(
        type="clipkit.FusedBackbone",
        clip=dict(name="tiny_clip"),
        host=dict(type="clipkit.ConvTower", channels=(4, 6), blocks=(1, 1)),
        data_preprocessor=preprocessor,
    ),
    dict(
        type="clipkit.DenseCLIP",
        classes=["red circle", "sky"],
        text=dict(clip="tiny_clip", pretrained=None, dense="sclip"),
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", **preprocessor),
    ),
    dict(type="clipkit.CLIP4Clip", clip=dict(name="tiny_clip"), head=dict(type="meanP")),
]
