"""ADE20K-847: the classes of the full ADE20K that training and validation images share.

Layout: ADE20K_2021_17_01/{images_detectron2,annotations_detectron2}/{training,validation}/x.{jpg,tif} as the scripts
`prepare_ade20k_full_sem_seg.py` of MaskFormer and its successors write them (masks of 16 bits, 0..846, 65535 is
ignored), and ADE20K_2021_17_01/names.json: the 847 names in the order of the ids as a JSON list (CAT-Seg's
`datasets/ade847.json`). Another place: --cfg-options variables.data=PATH variables.names=FILE.
"""

_base_ = ["./seg_wide.py"]

variables = dict(data="data/ADE20K_2021_17_01", names="data/ADE20K_2021_17_01/names.json")
classes = "{names}"

train = dict(
    data_prefix=dict(img_path="images_detectron2/training", seg_map_path="annotations_detectron2/training"),
)
val = dict(
    data_prefix=dict(img_path="images_detectron2/validation", seg_map_path="annotations_detectron2/validation"),
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
