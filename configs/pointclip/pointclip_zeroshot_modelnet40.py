"""PointCLIP zero-shot on ModelNet40: six depth maps, RN50, 'point cloud depth map of a {}.'

Command:   clipkit test pointclip/pointclip_zeroshot_modelnet40.py none --cfg-options variables.root=FOLDER
Options:   the second version's maps: model.projection.type=RealisticMaps and the data set's, both without kind
           model.weights=[1,1,1,1,1,1]  view weights
Hardware:  1 GPU
Time:      not measured here
Expected:  not measured here; the paper has 20.18 with view weights searched on the test labels
"""

_base_ = ["../_base_/pointclip.py"]

variables = dict(root="data/modelnet40_ply_hdf5_2048", clip="RN50-quickgelu")
projection = dict(type="DepthMaps", kind="zero-shot")
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = dict(dataset=dict(projection=projection, clouds=dict(type="ModelNet40", root="{root}", split="test")))
model = dict(projection=projection, adapter=None, templates=["point cloud depth map of a {}."])
