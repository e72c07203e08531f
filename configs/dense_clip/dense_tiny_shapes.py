"""Training-free dense CLIP in the embedded world: the frozen tiny CLIP's patches, classified by all 102 names.

Command:   clipkit test dense_clip/dense_tiny_shapes.py none
           another variant: --cfg-options model.text.dense=sclip   (maskclip, sclip, clearclip, naclip, vanilla)
Hardware:  CPU
Time:      half a minute (2 cores of an AMD EPYC, shared with other work, 2026-11-21)
Expected:  mIoU seen / unseen: vanilla 23.2 / 18.6, sclip 22.0 / 17.4, maskclip 21.7 / 17.4, naclip 1.6 / 1.4, clearclip
           0.8 / 1.1 (LSeg, lseg_tiny_shapes.py: 89.4 / 86.8); table and picture in work_dirs/dense_tiny_shapes
"""

_base_ = ["../_base_/seg_shapes.py"]

plugins = ["dense_clip"]

model = dict(
    type="DenseCLIP",
    data_preprocessor=_base_.data_preprocessor,
    classes="shapes",
    text=dict(clip="tiny_shapes", dense="vanilla"),
    precision="fp32",
)
custom_hooks = [dict(type="SegPictureHook", count=8)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
