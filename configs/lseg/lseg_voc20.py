"""LSeg (ViT-L/16) on PASCAL VOC 2012 without background.

Command:   torchrun --nproc_per_node=8 tools/train.py lseg/lseg_voc20.py --cfg-options variables.data=PATH
           on one GPU, and as the paper tests: see configs/_base_/lseg_photos.py
Data:      see configs/_base_/seg_voc20.py; weights of the tower and of CLIP are downloaded
Hardware:  8 GPUs with 2 images each
Time:      not measured here
Expected:  not measured here; LSeg's paper prints none. LSeg+ of other authors, trained on COCO panoptic
           and not here: mIoU 59.0 (ResNet-101), from OVSeg's repository
"""

_base_ = ["../_base_/lseg_photos.py", "../_base_/seg_voc20.py"]

iterations = 240 * 1464 // 16  # 240 epochs of 1,464 images, 16 a step; ours, as for ADE20K

model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations // 10)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
