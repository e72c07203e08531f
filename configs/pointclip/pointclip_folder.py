"""PointCLIP few-shot on your own clouds and meshes: a folder for each class, below train/ and test/. No Python needed.

.off, .ply, .pcd, .xyz, .txt, .csv, .npy; y points up, and who looks at a cloud from the front looks along z.

Command:   clipkit train pointclip/pointclip_folder.py --cfg-options variables.root=my/clouds
           clipkit predict work_dirs/pointclip_folder chair.ply
Options:   variables.names=FILE         words for the classes, one a line (default: the folders' names)
           variables.shots=None         all clouds of train/ (default: 4 a class)
           model.network=dict(classes=5)    a PointNet beside the adapter, for as many classes as there are
Hardware:  a CPU for some hundred clouds
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["../_base_/pointclip.py"]

variables = dict(root="data/clouds", names=None, shots=4, clip="ViT-B-16-quickgelu")
projection = dict(_delete_=True, type="PaintedViews")
iterations = 400
clouds = dict(type="CloudFolder", names="{names}")
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(projection=projection, clouds=dict(root="{root}/train", **clouds)),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(projection=projection, clouds=dict(root="{root}/test", **clouds)),
)
test_dataloader = val_dataloader
model = dict(projection=projection, templates=["a {}"])
train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=1e-3, weight_decay=0.05))
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, begin=0, end=iterations, eta_min=0)]
