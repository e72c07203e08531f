"""CLIP4Clip on MSVD, CLIP ViT-B/32 frozen.

Many sentences a video, also in the test: a video is found by the best of its own.

Command:   clipkit train clip4clip/clip4clip_msvd.py --cfg-options variables.root=data/msvd
Options:   see configs/_base_/clip4clip.py
Hardware:  one GPU, or a patient CPU: embedding the frames once is nearly all of the work
Time:      not yet measured
Expected:  not yet measured; the paper, whole CLIP trained, meanP: R@1 46.2 text to video
"""

_base_ = ["../_base_/clip4clip.py"]

variables = dict(
    data="msvd",
    root="data/msvd",
    train="train",
    test="test",
    store="work_dirs/stores/msvd",
)
