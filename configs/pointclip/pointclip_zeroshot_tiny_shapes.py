"""Clouds of the embedded world named by the tiny CLIP without training, by the front view or by the mean of ten.

Command:   clipkit test pointclip/pointclip_zeroshot_tiny_shapes.py none
           other names: --labels "ball, cube, cone, star"
Options:   variables.views=front|six|ten     the mean of so many
Hardware:  1 CPU core
Time:      13 s of CPU time (AMD EPYC, shared, 2026-11-30)
Expected:  top-1 93.3; views=ten 30.8 (nothing is random)
"""

plugins = ["pointclip"]
variables = dict(store="work_dirs/pointclip/views", views="front")

projection = dict(type="PaintedViews", size=64, views="{views}")
test_dataloader = dict(
    batch_size=120,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CloudViews",
        clouds=dict(type="ShapesClouds", length=120, seed=0),
        clip="tiny_clip",
        projection=projection,
        store="{store}",
        test_mode=True,
    ),
)
test_evaluator = dict(type="CloudAccuracy")
test_cfg = dict(type="TestLoop")
model = dict(type="PointCLIP", clip="tiny_clip", templates=["a {}"], projection=projection)
custom_hooks = [dict(type="CloudClassesHook")]
