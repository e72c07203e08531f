"""SCLIP on ADE20K-150; NACLIP by model.text.dense=naclip. Nothing trains.

Command:   clipkit test dense_clip/sclip_ade20k.py none --cfg-options variables.data=PATH
           with the paper's words: see configs/_base_/dense_sclip.py
Data:      see configs/_base_/seg_ade20k.py
Hardware:  any; a GPU for the whole data set
Time:      not measured here
Expected:  not measured here. SCLIP's README prints mIoU 16.45; NACLIP's 19.05, with PAMR, which is not here.
"""

_base_ = ["../_base_/seg_ade20k.py", "../_base_/dense_sclip.py"]

plugins = ["dense_clip"]
variables = dict(resize=(2048, 336))

model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)
test_dataloader = dict(dataset=dict(pipeline=_base_.resized_pipeline))
