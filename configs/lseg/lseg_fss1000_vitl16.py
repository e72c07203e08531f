"""LSeg (ViT-L/16) on FSS-1000, zero-shot: 520 classes train, 240 are watched, another 240 are tested.

Data:      see configs/_base_/seg_fss1000.py; weights of the tower and of CLIP are downloaded
Command:   clipkit train lseg/lseg_fss1000_vitl16.py                 (data elsewhere: --cfg-options variables.data=PATH)
           clipkit test lseg/lseg_fss1000_vitl16.py work_dirs/lseg_fss1000_vitl16
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU 87.8 (its README).
           Its recipe is unpublished and this one not tuned, see configs/_base_/seg_fewshot.py
"""

_base_ = ["../_base_/lseg_vitl16.py", "../_base_/seg_fss1000.py"]

model = dict(type="EpisodicLSeg", classes=_base_.classes, data_preprocessor=_base_.vit_preprocessor)
optim_wrapper = dict(optimizer=dict(lr=0.002))
