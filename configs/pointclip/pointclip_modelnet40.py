"""PointCLIP few-shot on ModelNet40 as the original has it: ten depth maps, RN101, 16 clouds a class, 250 epochs of SGD.

Command:   clipkit train pointclip/pointclip_modelnet40.py --cfg-options variables.root=modelnet40_ply_hdf5_2048
           an adapter of the original: clipkit convert pointclip model-best.pth.tar adapter.pth, then
           clipkit test pointclip/pointclip_modelnet40.py adapter.pth
Hardware:  1 GPU for the views, once
Time:      not measured here
Expected:  not measured here; the original reports 86.71, with the epoch chosen on the test set
"""

_base_ = ["../_base_/pointclip.py"]

variables = dict(root="data/modelnet40_ply_hdf5_2048")
train_dataloader = dict(dataset=dict(clouds=dict(type="ModelNet40", root="{root}", split="train")))
val_dataloader = dict(dataset=dict(clouds=dict(type="ModelNet40", root="{root}", split="test")))
test_dataloader = val_dataloader
