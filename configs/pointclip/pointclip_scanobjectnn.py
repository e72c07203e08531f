"""PointCLIP few-shot on ScanObjectNN's files: scans of 15 kinds of things, with or without what stands around them.

Command:   clipkit train pointclip/pointclip_scanobjectnn.py --cfg-options variables.root=h5_files/main_split
Options:   variables.part=objectdataset_augmentedrot_scale75   the hardest one (default: objectdataset)
           variables.background=False                          only the object's points, where the file has masks
Hardware:  1 GPU for the views, once
Time:      not measured here
Expected:  not measured here
"""

_base_ = ["../_base_/pointclip.py"]

variables = dict(root="data/scanobjectnn/main_split", part="objectdataset", background=True)
scans = dict(type="ScanObjectNN", background="{background}")
train_dataloader = dict(dataset=dict(clouds=dict(file="{root}/training_{part}.h5", **scans)))
val_dataloader = dict(dataset=dict(clouds=dict(file="{root}/test_{part}.h5", **scans)))
test_dataloader = val_dataloader
