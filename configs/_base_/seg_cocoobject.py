"""COCO-Object: COCO's 80 things and background, from COCO-Stuff's masks as they are. Layout: see `seg_cocostuff.py`."""

_base_ = ["./seg_cocostuff.py"]

classes = "dataset:COCOObjectDataset"

train_dataloader = dict(dataset=dict(type="COCOObjectDataset"))
val_dataloader = dict(dataset=dict(type="COCOObjectDataset"))
test_dataloader = dict(dataset=dict(type="COCOObjectDataset"))
