"""DepthCLIP on NYU Depth v2's 654 test pictures, scored in the released code's window.

Command:   clipkit test depthclip/depthclip_nyu.py none --cfg-options variables.mat=nyu_depth_v2_labeled.mat
Siblings:  depthclip_nyu_png.py
Options:   variables.splits=splits.mat  of the data set's page
           model.space=compat           as released
           test_dataloader.dataset.crop=eigen model.size=[480,640]    whole pictures, scored in the usual window
Hardware:  1 GPU, or a CPU
Time:      not measured here
Expected:  not measured here (the paper: delta1 .394, delta2 .683, delta3 .851, AbsRel .388, log10 .156, RMSE 1.167)
"""

_base_ = ["../_base_/depthclip.py"]

variables = dict(mat="data/nyu/nyu_depth_v2_labeled.mat", splits="data/nyu/splits.mat")
test_dataloader = dict(dataset=dict(mat="{mat}", splits="{splits}", split="test", crop="depthclip"))
