"""Training-free dense CLIP in the embedded world: the frozen tiny CLIP's patches, classified by all 102 names.

Command:   clipkit test dense_clip/dense_tiny_shapes.py none
           another variant: --cfg-options model.text.dense=sclip   (maskclip, sclip, clearclip, naclip, vanilla)
Hardware:  CPU
Time:      not yet measured
Expected:  not yet measured; table and picture in work_dirs/dense_tiny_shapes
"""

_base_ = ["../_base_/seg_shapes.py"]

plugins = ["dense_clip"]

model = dict(
    type="DenseCLIP",
    data_preprocessor=_base_.data_preprocessor,
    classes="shapes",
    text=dict(clip="tiny_shapes", dense="maskclip", templates=["a photo of a {}"]),
    upsample=2.0,
    precision="fp32",
)
custom_hooks = [dict(type="SegPictureHook", count=8)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
