"""ClearCLIP on PASCAL VOC 2012 with background. Nothing trains.

Command:   clipkit test dense_clip/clearclip_voc21.py none --cfg-options variables.data=PATH
           with the paper's words (its class-name file): add model.words.path=cls_{…}.txt model.words.separator=,
Data:      see configs/_base_/seg_voc21.py
Hardware:  any; a GPU for the whole data set
Time:      not measured here
Expected:  not measured here. The paper prints mIoU 51.8 (known from a secondary source).
"""

_base_ = ["./sclip_voc21.py"]

variables = dict(resize=(2048, 448))

model = dict(
    text=dict(dense="clearclip"),
    logit_scale=50.0,
    area=None,
    threshold=0.5,
    test_cfg=dict(mode="slide", window=448, stride=224),
)
