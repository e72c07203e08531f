"""SCLIP on COCO-Stuff 164k; NACLIP by model.text.dense=naclip. Nothing trains.

Command:   clipkit test dense_clip/sclip_cocostuff.py none --cfg-options variables.data=PATH
           with the paper's words: see configs/_base_/dense_sclip.py
Data:      see configs/_base_/seg_cocostuff.py
Hardware:  any; a GPU for the whole data set
Time:      not measured here
Expected:  not measured here. SCLIP's README prints mIoU 22.77; NACLIP's 25.69, with PAMR, which is not here.
"""

_base_ = ["../_base_/seg_cocostuff.py", "../_base_/dense_sclip.py"]

plugins = ["dense_clip"]
variables = dict(resize=(2048, 448))

model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)
test_dataloader = dict(dataset=dict(pipeline=_base_.resized_pipeline))
