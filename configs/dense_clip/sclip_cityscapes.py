"""SCLIP on Cityscapes; NACLIP by model.text.dense=naclip. Nothing trains.

Command:   clipkit test dense_clip/sclip_cityscapes.py none --cfg-options variables.data=PATH
           with the paper's words: see configs/_base_/dense_sclip.py
Data:      see configs/_base_/seg_cityscapes.py
Hardware:  any; a GPU for the whole data set
Time:      not measured here
Expected:  not measured here. SCLIP's README prints mIoU 32.34; NACLIP's 38.27, with PAMR, which is not here.
"""

_base_ = ["../_base_/seg_cityscapes.py", "../_base_/dense_sclip.py"]

plugins = ["dense_clip"]
variables = dict(resize=(2048, 560))

model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)
test_dataloader = dict(dataset=dict(pipeline=_base_.resized_pipeline))
