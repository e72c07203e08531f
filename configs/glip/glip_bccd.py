"""GLIP on real microscope photos: three kinds of blood cells, asked by their names; shallow.

The tiny CLIP's text tower knows no cells: its tokens of the names are fixed directions that the layers on top learn.

Command:   clipkit train glip/glip_bccd.py             (data elsewhere: --cfg-options variables.data=PATH)
Hardware:  1 CPU core (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      7 CPU minutes, the evaluation included (2026-11-30, 22 minutes beside other work)
Expected:  AP on val 52.1, AP50 88.8 (seed 0); ViLD's head of text has 50.2, 85.1 (vild/vild_bccd.py)
"""

_base_ = ["../_base_/det_bccd.py", "../_base_/glip_small.py"]

plugins = ["glip"]
model = dict(classes=_base_.classes, **_base_.grounder)
model["neck"] = dict(model["neck"], num_outs=3)
model["bbox_head"] = dict(
    model["bbox_head"], anchor_generator=dict(model["bbox_head"]["anchor_generator"], strides=[8, 16, 32])
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:-1],
            dict(type="GroundingPrompt", classes=_base_.classes, names=(3, 3), hard=0.0, empty=0.0),
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=("img_id", "img_path", "img_shape", "scale_factor", "prompt", "object_phrases"),
            ),
        ]
    )
)
