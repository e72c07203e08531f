"""PASCAL-Context with its 59 most frequent classes and background. Layout: see `seg_pc59.py`."""

_base_ = ["./seg_pc59.py"]

classes = "dataset:mmseg.PascalContextDataset"

train_dataloader = dict(dataset=dict(type="mmseg.PascalContextDataset"))
val_dataloader = dict(dataset=dict(type="mmseg.PascalContextDataset"))
test_dataloader = dict(dataset=dict(type="mmseg.PascalContextDataset"))
