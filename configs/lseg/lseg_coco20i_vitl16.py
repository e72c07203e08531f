"""LSeg (ViT-L/16) on COCO-20i, zero-shot: 60 of COCO's classes train, the other 20 of a fold are tested.

Data:      see configs/_base_/seg_coco20i.py; weights of the tower and of CLIP are downloaded
Command:   for fold in 0 1 2 3; do clipkit train lseg/lseg_coco20i_vitl16.py --cfg-options variables.fold=$fold \
             --work-dir work_dirs/lseg_coco20i_vitl16_$fold; done         (data elsewhere: variables.data=PATH)
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU, mean of the folds: 27.2; FB-IoU 59.9 (second-hand,
           not checked against the paper).
           Its recipe is unpublished and this one not tuned, see configs/_base_/seg_fewshot.py
"""

_base_ = ["../_base_/lseg_vitl16.py", "../_base_/seg_coco20i.py"]

model = dict(type="EpisodicLSeg", classes=_base_.classes, data_preprocessor=_base_.vit_preprocessor)
optim_wrapper = dict(optimizer=dict(lr=0.002))
