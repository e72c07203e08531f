"""LSeg on CamVid with real CLIP text vectors (ViT-B/32, "a {name}") from files; no CLIP is loaded.

data/clip_text holds oid_vitb32_a.npy and lvis_v1_vitb32_a.npy, (names, 512) each, with a JSON list of the names
beside each (oid_vitb32_a.json, …): embeddings of "a {name}" as open-vocabulary detectors publish them.
The files hold the names of Open Images and LVIS: Building, Tree, Car and Pole are there, stand-ins for three others are
declared below. Sky, Road, Pavement and Fence have no vector: their pixels are ignored in training and in the score.

Command:   clipkit train lseg/lseg_camvid_cliptext.py   (data elsewhere: --cfg-options variables.data=PATH
           variables.text=PATH)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      19 minutes (2 cores of an AMD EPYC, shared with much other work, 2026-11-21)
Expected:  mIoU 33.1 over the 7 named classes (seed 0, 700 iterations)
"""

_base_ = ["../_base_/seg_camvid.py"]

variables = dict(text="data/clip_text")

model = dict(
    type="LSeg",
    data_preprocessor=_base_.data_preprocessor,
    classes=_base_.classes,
    text=dict(
        path=["{text}/oid_vitb32_a.npy", "{text}/lvis_v1_vitb32_a.npy"],
        stand_ins=dict(Pedestrian="person", Bicyclist="bicycle", SignSymbol="Traffic sign"),
    ),
    tower=_base_.backbone,
    decoder=_base_.decoder,
    ignore_index=_base_.unlabelled,
    precision="fp32",
)
