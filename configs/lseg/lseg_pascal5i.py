"""LSeg on PASCAL-5i, zero-shot: trained with 15 of VOC's classes, tested on the other 5 of a fold.

Data:      VOCtrainval_11-May-2012.tar, and SBD by mmsegmentation's voc_aug.py, see clipkit/data/fewshot_lists.py; then
           python -m clipkit.data.fewshot_lists pascal5i data/VOCdevkit/VOC2012
Command:   for fold in 0 1 2 3; do clipkit train lseg/lseg_pascal5i.py --work-dir work_dirs/pascal5i_$fold \
             --cfg-options variables.fold=$fold; done             (data elsewhere: variables.data=PATH)
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU of folds 0-3: ResNet-101 52.8 53.8 44.4 38.5, mean 47.4 (its README);
           ViT-L/16 61.3 63.6 43.1 41.0, mean 52.3; FB-IoU 64.1 and 67.0 (all these second-hand, not checked against the
           paper). The recipe is unpublished, see _base_/seg_fewshot.py
"""

_base_ = ["../_base_/seg_fewshot.py"]

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
train_dataloader = dict(dataset=dict(classes=classes))
val_dataloader = dict(dataset=dict(classes=classes))
test_dataloader = dict(dataset=dict(classes=classes))
model = dict(classes=classes)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1425)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
