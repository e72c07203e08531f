"""LSeg (ViT-L/16) on ADE20K with 150 classes, all of them trained.

Command:   torchrun --nproc_per_node=8 tools/train.py lseg/lseg_ade20k.py --cfg-options variables.data=PATH
           on one GPU, and as the paper tests: see configs/_base_/lseg_photos.py
Data:      see configs/_base_/seg_ade20k.py; weights of the tower and of CLIP are downloaded
Hardware:  8 GPUs with 2 images each
Time:      not measured here
Expected:  not measured here. The paper's ViT-L/16 is reported with 47.25 (second-hand; text of RN50x16); the original's
           ViT-B/32 with mIoU 37.8, pixel accuracy 79.7 (its issue 32): model from _base_/lseg_vitb32.py
"""

_base_ = ["../_base_/lseg_photos.py", "../_base_/seg_ade20k.py"]

iterations = 240 * 20210 // 16  # 240 epochs of 20,210 images, 16 a step

model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations // 10)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
