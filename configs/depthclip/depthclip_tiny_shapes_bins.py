"""The same with the words' distances fitted to 20 pictures with measured depth.

Command:   clipkit train depthclip/depthclip_tiny_shapes_bins.py
Options:   variables.pictures=5
Hardware:  1 CPU core
Time:      about 20 s of CPU time
Expected:  AbsRel .159/.158/.165, delta1 .75/.78/.71, spearman .70/.66/.71 (seeds 0/1/2; variables.labelled
           1000/1001/1002; 2026-11-30)
"""

_base_ = ["./depthclip_tiny_shapes.py"]

variables = dict(pictures=20, labelled=1000)

train_dataloader = dict(
    batch_size="{pictures}",
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler", shuffle=False),
    dataset=dict(type="SceneDepths", length="{pictures}", seed="{labelled}"),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=1, val_interval=1)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.0))  # the fit is exact: no gradients
val_dataloader = _base_.test_dataloader
val_cfg = dict(type="ValLoop")
val_evaluator = _base_.test_evaluator
