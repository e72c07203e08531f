"""The same on NYU Depth v2 as pictures with a list, as BTS and others share it: a line
`kitchen/rgb_00045.jpg kitchen/sync_depth_00045.png 518.8579`.

Command:   clipkit test depthclip/depthclip_nyu_png.py none --cfg-options variables.list=files.txt variables.root=FOLDER
Hardware:  1 GPU, or a CPU
Time:      not measured here
Expected:  not measured here
"""

_base_ = ["../_base_/depthclip.py"]

variables = dict(list="data/nyu/nyudepthv2_test_files_with_gt.txt", root="data/nyu/official_splits/test")
test_dataloader = dict(dataset=dict(pairs="{list}", root="{root}", crop="depthclip"))
