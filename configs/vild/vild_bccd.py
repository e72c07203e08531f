"""ViLD-text on real microscope photos: boxes are classified by the words for three kinds of cells.

The tiny CLIP's text tower was trained on shapes and knows no cells: whitened, the three names are three fixed
directions, no more. What this run shows is that a head of text trains on real photos as well as mmdet's own linear one
(vild_bccd_closed.py). With a real CLIP (variables.clip, variables.weights) cells may also be renamed at test time.

Command:   clipkit train vild/vild_bccd.py             (data elsewhere: --cfg-options variables.data=PATH)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      9 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  AP on val 50.2, AP50 85.1 (seed 0), beside vild_bccd_closed.py's 54.2, 87.9
"""

_base_ = ["../_base_/det_bccd.py"]

variables = dict(clip="tiny_clip", weights=None)
roi_head = {key: value for key, value in _base_.detector["roi_head"].items() if not key.startswith("mask")}

model = dict(
    type="ViLD",
    variant="text",
    classes=_base_.classes,
    text=dict(clip=dict(name="{clip}", pretrained="{weights}"), whiten=_base_.classes),
    classifier=dict(type="ViLDClassifier"),
    **{**_base_.detector, "roi_head": roi_head},
)
