"""LVIS v1: 866 base classes (frequent and common), 337 novel ones (rare), whose annotations training leaves out.

Layout: data/coco/{train2017,val2017}, data/lvis_v1/annotations/lvis_v1_{train,val}.json; other places:
--cfg-options variables.images=PATH variables.data=PATH. The lvis package is not needed.
"""

_base_ = ["./vild_r50.py"]

variables = dict(images="data/coco", data="data/lvis_v1", teacher="data/lvis_v1/teacher")
classes = "{data}/annotations/lvis_v1_val.json"
base_classes = classes + ":cf"

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{data}/annotations/lvis_v1_train.json", images="{images}", classes=classes,
        base_classes=base_classes, labelled="base", check=False, masks=True, on_bad="skip",
        pipeline=[*_base_.load, *_base_.augment],
    ),
)  # fmt: skip
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{data}/annotations/lvis_v1_val.json", images="{images}", classes=classes,
        base_classes=base_classes, check=False, on_bad="skip", pipeline=_base_.test_pipeline, test_mode=True,
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(
    type="DetectionAP", ann_file="{data}/annotations/lvis_v1_val.json", kinds=["segm", "bbox"], rule="lvis"
)
test_evaluator = val_evaluator
