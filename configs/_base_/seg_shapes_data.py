"""Data and evaluation of the embedded world: scenes of 64 pixels, composition split.

Training images hold only seen compositions; evaluation scenes hold all, and all 102 names compete.
"""

default_scope = "clipkit"
plugins = ["lseg"]

train_pipeline = [
    dict(type="mmseg.RandomFlip", prob=0.5),
    dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape")),
]
test_pipeline = [dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape"))]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(type="ShapesSegDataset", length=20480, seed=1, subset="seen", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ShapesSegDataset", length=1024, seed=2, subset="all", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SeenUnseenIoU")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
