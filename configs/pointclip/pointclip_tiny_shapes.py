"""Clouds of the embedded world's twelve shapes, named by the tiny CLIP, which saw pictures alone: without training,
with view weights that training clouds teach, by the inter-view adapter, by a PointNet, and by the last two together.

Command:   clipkit train pointclip/pointclip_tiny_shapes.py
Options:   variables.shots=4             clouds a class (default: 16)
           variables.draw=1              which ones
           model.projection.type=DepthMaps model.projection.kind=few-shot     the paper's depth maps; the same for
               each data set's projection
Hardware:  1 CPU core
Time:      23 s of CPU time, and once 50 s for the views (AMD EPYC, shared, 2026-11-30)
Expected:  top-1 100.0, weighted 88.3, adapter 100.0, network 100.0, front 93.3, zero-shot 30.8 (each of seeds 0 to 2);
           with variables.shots=4 adapter 97.5/99.2/97.5, network 100.0/98.3/97.5, both 100.0/100.0/99.2
"""

plugins = ["pointclip"]
variables = dict(store="work_dirs/pointclip/views", shots=16, draw=0)
iterations = 200

projection = dict(type="PaintedViews", size=64)
views = dict(type="CloudViews", clip="tiny_clip", projection=projection, store="{store}", points=256)
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(clouds=dict(type="ShapesClouds", length=240, seed=1), shots="{shots}", seed="{draw}", **views),
)
val_dataloader = dict(
    batch_size=120,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(clouds=dict(type="ShapesClouds", length=120, seed=0), test_mode=True, **views),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CloudAccuracy")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(
    type="PointCLIP",
    clip="tiny_clip",
    templates=["a {}"],
    projection=projection,
    weights="learned",
    adapter=dict(),
    network=dict(classes=12),
)
custom_hooks = [dict(type="CloudClassesHook")]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={"view_weights": dict(lr_mult=30.0, decay_mult=0.0)}),
)
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, begin=0, end=iterations, eta_min=0)]
