"""LSeg (ViT-L/16) on COCO-Stuff with 171 classes: the training set of most open-vocabulary segmenters.

Command:   torchrun --nproc_per_node=8 tools/train.py lseg/lseg_cocostuff.py --cfg-options variables.data=PATH
           its weights on classes that it was not trained with: clipkit test lseg/lseg_pc59.py work_dirs/lseg_cocostuff
           on one GPU, and as the paper tests: see configs/_base_/lseg_photos.py
Data:      see configs/_base_/seg_cocostuff.py; weights of the tower and of CLIP are downloaded
Hardware:  8 GPUs with 2 images each
Time:      not measured here
Expected:  not measured here; LSeg's paper prints none
"""

_base_ = ["../_base_/lseg_photos.py", "../_base_/seg_cocostuff.py"]

iterations = 160000  # ours: 22 epochs; LSeg has no schedule for it

model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations // 10)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
