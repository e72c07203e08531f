"""SCLIP on COCO-Object; NACLIP by model.text.dense=naclip. Nothing trains.

Command:   clipkit test dense_clip/sclip_cocoobject.py none --cfg-options variables.data=PATH
           with the paper's words: see configs/_base_/dense_sclip.py
Data:      see configs/_base_/seg_cocoobject.py
Hardware:  any; a GPU for the whole data set
Time:      not measured here
Expected:  not measured here. SCLIP's README prints mIoU 33.52; NACLIP's 36.19, with PAMR, which is not here.
"""

_base_ = ["../_base_/seg_cocoobject.py", "../_base_/dense_sclip.py"]

plugins = ["dense_clip"]
variables = dict(resize=(2048, 336))

model = dict(
    classes=_base_.classes,
    data_preprocessor=_base_.data_preprocessor,
    logit_scale=50.0,
    threshold=0.1,
)
test_dataloader = dict(dataset=dict(pipeline=_base_.resized_pipeline))
