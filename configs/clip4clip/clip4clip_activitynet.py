"""CLIP4Clip on ActivityNet Captions (val_1), CLIP ViT-B/32 frozen.

A video's sentences are one paragraph; 64 frames.

Command:   clipkit train clip4clip/clip4clip_activitynet.py --cfg-options variables.root=data/activitynet
Options:   see configs/_base_/clip4clip.py
Hardware:  one GPU, or a patient CPU: embedding the frames once is nearly all of the work
Time:      not yet measured
Expected:  not yet measured; the paper, whole CLIP trained, meanP: R@1 40.5 text to video
"""

_base_ = ["../_base_/clip4clip.py"]

variables = dict(
    data="activitynet",
    root="data/activitynet",
    train="train",
    test="val",
    store="work_dirs/stores/activitynet",
    max_frames=64,
    short_side=224,
)
