"""CLIP4Clip with CLIP itself trained, on your own videos, see clip4clip_folder.py: frames are read anew in each pass.

Command:   clipkit train clip4clip/clip4clip_folder_tuned.py --amp --cfg-options variables.root=…
Options:   see configs/_base_/clip4clip_tuned.py, and those of clip4clip_folder.py
Hardware:  GPUs
Time:      not yet measured
Expected:  depends on your data
"""

_base_ = ["../_base_/clip4clip_tuned.py"]

iterations = 1000
train_cfg = dict(max_iters=iterations, val_interval=250)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
