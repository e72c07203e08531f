"""Training-free dense CLIP in the embedded world: the frozen tiny CLIP's patches, classified by all 102 names.

Command:   clipkit test dense_clip/dense_tiny_shapes.py none
           another variant: --cfg-options model.text.dense=sclip   (maskclip, sclip, clearclip, naclip, vanilla)
Hardware:  CPU
Time:      1 minute for 1,024 scenes (one core of an AMD EPYC, shared with other work, 2026-11-21)
Expected:  vanilla mIoU seen 21.7, unseen 17.0; maskclip 20.7, 16.0; sclip 20.0, 15.3; naclip 2.3, 2.0; clearclip 1.0,
           0.5 (2026-11-21; nothing is random but the scenes, seed 2). Table and picture in work_dirs/dense_tiny_shapes

The best of what was tried on 256 of these scenes with the first stage of the tiny CLIP: five variants; enlarging by
0.75, 1, 1.5, 2 and 4; bare names and five sets of prompts; windows of 32, 48 and 56. naclip and clearclip drop the
residual, without which a tower that was pooled by the maximum over patches says nothing.
"""

_base_ = ["../_base_/seg_shapes.py"]

plugins = ["dense_clip"]

model = dict(
    type="DenseCLIP",
    data_preprocessor=_base_.data_preprocessor,
    classes="shapes",
    text=dict(clip="tiny_clip", dense="vanilla"),
    precision="fp32",
)
custom_hooks = [dict(type="SegPictureHook", count=8)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
