"""LSeg (ViT-L/16) on ADE20K with 847 classes, all of them trained.

Command:   torchrun --nproc_per_node=8 tools/train.py lseg/lseg_ade20k_full.py --cfg-options variables.data=PATH
             variables.names=FILE
           on one GPU, and as the paper tests: see configs/_base_/lseg_photos.py
Data:      see configs/_base_/seg_ade20k_full.py; weights of the tower and of CLIP are downloaded
Hardware:  8 GPUs with 2 images each
Time:      not measured here
Expected:  not measured here; LSeg's paper prints none. LSeg+ of other authors, trained on COCO panoptic
           and not here: mIoU 2.5 (ResNet-101), 3.8 (EfficientNet-B7), from OVSeg's repository
"""

_base_ = ["../_base_/lseg_photos.py", "../_base_/seg_ade20k_full.py"]

iterations = 240 * 20210 // 16  # the schedule is ADE20K-150's

model = dict(
    classes=_base_.classes,
    data_preprocessor=_base_.data_preprocessor,
    ignore_index=_base_.ignored,
    points=16384,  # full-size logits of so many classes would cost more than the network
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations // 10)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
