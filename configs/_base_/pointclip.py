"""PointCLIP's inter-view adapter on a frozen CLIP: embeddings of all views are stored once, then it trains on them.

The number of the last step counts; the original takes the epoch that is best on the test set.

Options:   variables.shots=16           clouds a class; None: all
           variables.draw=1             which ones
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
           variables.store=FOLDER       20 KB a cloud
           model.network=dict(classes=40)   a PointNet beside it; the prediction is the mean of both
"""

plugins = ["pointclip"]
variables = dict(store="work_dirs/pointclip/views", shots=16, draw=0, clip="RN101-quickgelu", weights="openai")
iterations = 5000

clip = dict(name="{clip}", pretrained="{weights}")
projection = dict(type="DepthMaps", kind="few-shot")
views = dict(type="CloudViews", clip=clip, projection=projection, store="{store}")
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(shots="{shots}", seed="{draw}", **views),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(test_mode=True, **views),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CloudAccuracy")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(
    type="PointCLIP",
    clip=clip,
    templates=["point cloud of a big {}."],
    projection=projection,
    adapter=dict(ratio=0.6, init=0.5, dropout=0.075),
)
custom_hooks = [dict(type="CloudClassesHook")]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type="ConstantLR", factor=1e-3, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=iterations, eta_min=0),
]
