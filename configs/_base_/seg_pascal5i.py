"""PASCAL-5i: 15 of VOC's classes train, the other 5 of a fold are tested. See `seg_fewshot.py`.

VOCtrainval_11-May-2012.tar in data/VOCdevkit/VOC2012, and SBD by mmsegmentation's voc_aug.py; then
    python -m clipkit.data.fewshot_lists pascal5i data/VOCdevkit/VOC2012
"""

_base_ = ["./seg_fewshot.py"]

variables = dict(data="data/VOCdevkit/VOC2012", fold=0)
iterations = 5700  # 4 epochs of fold 0's 11,394 episodes, 2 samples each
# As the original writes them.
classes = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]
train_dataloader = dict(dataset=dict(benchmark="pascal5i", classes=classes))
val_dataloader = dict(dataset=dict(benchmark="pascal5i", classes=classes))
test_dataloader = dict(dataset=dict(benchmark="pascal5i", classes=classes))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1425)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
