"""LSeg (ResNet-101) on COCO-20i, zero-shot: 60 of COCO's classes train, the other 20 of a fold are tested.

Data:      see configs/_base_/seg_coco20i.py; weights of the tower and of CLIP are downloaded
Command:   for fold in 0 1 2 3; do clipkit train lseg/lseg_coco20i.py --work-dir work_dirs/lseg_coco20i_$fold \
             --cfg-options variables.fold=$fold; done         (data elsewhere: variables.data=PATH)
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU of folds 0-3: 22.1 25.1 24.9 21.5, mean 23.4 (its
           README); FB-IoU 57.9 (second-hand, not checked against the paper).
           Its recipe is unpublished and this one not tuned, see configs/_base_/seg_fewshot.py
"""

_base_ = ["../_base_/lseg_rn101.py", "../_base_/seg_coco20i.py"]

model = dict(type="EpisodicLSeg", classes=_base_.classes, data_preprocessor=_base_.resnet_preprocessor)
optim_wrapper = dict(optimizer=dict(lr=0.002))
