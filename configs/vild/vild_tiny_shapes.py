"""ViLD in the embedded world: one region embedding learns from text and from the tiny CLIP's view of each region.

The first run of this and its siblings embeds the regions of the 4,096 training scenes once, for all of them.

Command:   clipkit train vild/vild_tiny_shapes.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      24 minutes on one core (AMD EPYC, shared, 2026-11-21), and once 13 for the teacher
Expected:  base AP50 85.3, novel 40.9, where text alone has 91.4 and 21.1 (mean of seeds 0 to 2, 2026-11-22); with
           variables.split=composition 87.9, 78.0 and 91.3, 83.0; table in work_dirs/vild_tiny_shapes
"""

_base_ = ["../_base_/det_shapes.py"]

model = dict(
    type="ViLD",
    variant="vild",
    classes="shapes:objects",
    base_classes="shapes:objects:{split}",
    text=dict(clip="tiny_clip"),
    # The release tests with the 100 that it trains with. Cosines of the tiny CLIP's names spread six times as far as a
    # real CLIP's; at 100 the text head is so sure against novel classes that an ensemble's other head hardly counts.
    classifier=dict(type="ViLDClassifier", test_scale=30.0),
    distill_weight=0.5,
    **_base_.detector,
)
