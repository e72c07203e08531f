"""LSeg (ViT-L/16) on Cityscapes.

Command:   torchrun --nproc_per_node=8 tools/train.py lseg/lseg_cityscapes.py --cfg-options variables.data=PATH
           as the paper tests: "model.test_cfg.scales=(0.75,1,1.25,1.5,1.75,2,2.25)" model.test_cfg.flip=True
           on one GPU: see configs/_base_/lseg_photos.py
Data:      see configs/_base_/seg_cityscapes.py; weights of the tower and of CLIP are downloaded
Hardware:  8 GPUs with 2 images each
Time:      not measured here
Expected:  not measured here; LSeg's paper prints none. Its code has base 2048 and crop 768
"""

_base_ = ["../_base_/lseg_photos.py", "../_base_/seg_cityscapes.py"]

iterations = 240 * 2975 // 16  # 240 epochs of 2,975 images, 16 a step; ours, as for ADE20K

model = dict(
    classes=_base_.classes,
    data_preprocessor=_base_.data_preprocessor,
    test_cfg=dict(window=768, stride=512, base_size=2048),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations // 10)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
