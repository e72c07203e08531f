"""LSeg on CamVid's street photos, from scratch, with the tiny CLIP's text tower for all 11 names.

The tiny text tower was trained on shapes and knows no streets: it gives all street names nearly one embedding.
Whitened (`whiten`) they are 11 fixed directions, equally far apart, no more.
What this run shows is that LSeg's head trains on real photos as well as a linear one (lseg_camvid_linear.py).
Unseen street names mean nothing to it; real text vectors are in lseg_camvid_cliptext.py.

Command:   clipkit train lseg/lseg_camvid.py            (data elsewhere: --cfg-options variables.data=PATH)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      14 minutes (2 cores of an AMD EPYC, shared with other work, 2026-11-21)
Expected:  mIoU 38.6 (seed 0, 700 iterations, 2026-11-21); lseg_camvid_linear.py has 33.1
"""

_base_ = ["../_base_/seg_camvid.py"]

model = dict(
    type="LSeg",
    data_preprocessor=_base_.data_preprocessor,
    classes=_base_.classes,
    text=dict(clip="tiny_clip", whiten=_base_.classes),
    tower=_base_.backbone,
    decoder=_base_.decoder,
    ignore_index=_base_.unlabelled,
    precision="fp32",  # the optimiser's wrapper chooses the precision of training, for all CamVid configs alike
)
