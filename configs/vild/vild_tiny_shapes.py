"""ViLD in the embedded world: one region embedding learns from text and from the tiny CLIP's view of each region.

The first run of this and its siblings embeds the regions of the 4,096 training scenes once, for all of them.

Command:   clipkit train vild/vild_tiny_shapes.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured (aim: 20 minutes, and once a few for the teacher)
Expected:  base and novel AP50 of the whole schedule: not yet measured; after 800 of 2,000 steps base 60.8, novel 42.2
           (seed 0, 2026-11-21); table in work_dirs/vild_tiny_shapes
"""

_base_ = ["../_base_/det_shapes.py"]

model = dict(
    type="ViLD",
    variant="vild",
    classes="shapes:objects",
    base_classes="shapes:objects:{split}",
    text=dict(clip="tiny_shapes"),
    classifier=dict(type="ViLDClassifier"),
    distill_weight=0.5,
    **_base_.detector,
)
