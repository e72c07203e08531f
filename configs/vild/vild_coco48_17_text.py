"""ViLD-text on COCO's 48 base and 17 novel classes (Bansal et al., ECCV 2018), all 65 competing at test time. Its RPN
then proposes the regions for vild_coco48_17.py.

Layout: data/coco/{train2017,val2017,annotations/instances_{train,val}2017.json}; elsewhere: variables.data=PATH.
Command:   torchrun --nproc_per_node=8 tools/train.py vild/vild_coco48_17_text.py
Hardware:  64 images a step, for instance 8 GPUs with 8
Time:      not yet measured
Expected:  AP50 novel, base, all: not yet measured here (the paper's: 5.9, 61.8, 47.2)
"""

_base_ = ["../_base_/vild_r50.py"]

variables = dict(data="data/coco")
base_classes = [
    "person", "bicycle", "car", "motorcycle", "train", "truck", "boat", "bench", "bird", "horse", "sheep", "bear",
    "zebra", "giraffe", "backpack", "handbag", "suitcase", "frisbee", "skis", "kite", "surfboard", "bottle", "fork",
    "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "pizza", "donut", "chair", "bed",
    "toilet", "tv", "laptop", "mouse", "remote", "microwave", "oven", "toaster", "refrigerator", "book", "clock",
    "vase", "toothbrush",
]  # fmt: skip
novel_classes = [
    "airplane", "bus", "cat", "dog", "cow", "elephant", "umbrella", "tie", "snowboard", "skateboard", "cup", "knife",
    "cake", "couch", "keyboard", "sink", "scissors",
]  # fmt: skip
classes = [*base_classes, *novel_classes]
iterations = 45000

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{data}/annotations/instances_train2017.json", images="{data}/train2017",
        classes=classes, base_classes=base_classes, labelled="base", check=False, masks=True, on_bad="skip",
        pipeline=[*_base_.load, *_base_.augment],
    ),
)  # fmt: skip
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{data}/annotations/instances_val2017.json", images="{data}/val2017",
        classes=classes, base_classes=base_classes, check=False, on_bad="skip", pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(type="DetectionAP", ann_file="{data}/annotations/instances_val2017.json")
test_evaluator = val_evaluator

model = dict(
    type="ViLD",
    variant="text",
    classes=classes,
    base_classes=base_classes,
    text=_base_.text_rows,
    classifier=dict(type="ViLDClassifier"),
    **_base_.detector,
)
train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(optimizer=dict(lr=0.08))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=iterations, milestones=[40500, 42750, 43875], gamma=0.1),
]
