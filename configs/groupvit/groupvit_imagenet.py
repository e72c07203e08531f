"""GroupViT's zero-shot classification of ImageNet's validation set, or of any folder of the 1,000 synsets.

Command:   clipkit test groupvit/groupvit_imagenet.py groupvit.pth --cfg-options variables.images=data/imagenet/val
Hardware:  one GPU
Time:      not measured here
Expected:  not measured here. The original's README prints top-1 43.7 with GCC and YFCC, 51.6 with GCC and RedCaps.
"""

_base_ = ["../_base_/groupvit.py"]

default_scope = "clipkit"
plugins = ["groupvit"]
variables = dict(images="data/imagenet/val")

model = dict(
    classes="dataset:mmseg.PascalVOCDataset",  # a segmentor's; the data set's names are what is tested
    text=dict(templates="openai"),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ImageFolder", root="{images}", names="imagenet"),
)
test_cfg = dict(type="GroupZeroShotLoop")
test_evaluator = []
