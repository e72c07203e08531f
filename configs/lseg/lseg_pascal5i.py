"""LSeg (ResNet-101) on PASCAL-5i, zero-shot: 15 of VOC's classes train, the other 5 of a fold are tested.

Data:      see configs/_base_/seg_pascal5i.py; weights of the tower and of CLIP are downloaded
Command:   for fold in 0 1 2 3; do clipkit train lseg/lseg_pascal5i.py --work-dir work_dirs/lseg_pascal5i_$fold \
             --cfg-options variables.fold=$fold; done         (data elsewhere: variables.data=PATH)
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU of folds 0-3: 52.8 53.8 44.4 38.5, mean 47.4 (its
           README); FB-IoU 64.1 (second-hand, not checked against the paper).
           Its recipe is unpublished and this one not tuned, see configs/_base_/seg_fewshot.py
"""

_base_ = ["../_base_/lseg_rn101.py", "../_base_/seg_pascal5i.py"]

model = dict(type="EpisodicLSeg", classes=_base_.classes, data_preprocessor=_base_.resnet_preprocessor)
optim_wrapper = dict(optimizer=dict(lr=0.002))
