"""LSeg on CamVid with real CLIP text vectors (ViT-B/32, "a {name}") from a file; no CLIP is loaded.

The file holds Open Images' 500 names. Building, Tree, Car are there; stand-ins are declared below; CamVid's other
names have no vector: their pixels are ignored in training and left out of the score, and the log lists them.

Command:   clipkit train lseg/lseg_camvid_cliptext.py   (data elsewhere: --cfg-options variables.data=PATH
           variables.text=PATH/oid_vitb32_a.npy)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured (aim: 13 minutes)
Expected:  mIoU over the named classes, not yet measured
"""

_base_ = ["../_base_/seg_camvid.py"]

variables = dict(text="data/clip_text/oid_vitb32_a.npy")

model = dict(
    type="LSeg",
    data_preprocessor=_base_.data_preprocessor,
    classes=_base_.classes,
    text=dict(path="{text}", stand_ins=dict(Pedestrian="person", Bicyclist="bicycle")),
    tower=_base_.backbone,
    decoder=_base_.decoder,
    ignore_index=_base_.unlabelled,
    precision="fp32",
)
