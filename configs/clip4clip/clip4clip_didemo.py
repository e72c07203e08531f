"""CLIP4Clip on DiDeMo, CLIP ViT-B/32 frozen.

A video's descriptions are one paragraph; the first 31 seconds; 64 frames.

Command:   clipkit train clip4clip/clip4clip_didemo.py --cfg-options variables.root=data/didemo
Options:   see configs/_base_/clip4clip.py
Hardware:  one GPU, or a patient CPU: embedding the frames once is nearly all of the work
Time:      not yet measured
Expected:  not yet measured; the paper, whole CLIP trained, seqTransf: R@1 42.8 text to video
"""

_base_ = ["../_base_/clip4clip.py"]

variables = dict(
    data="didemo",
    root="data/didemo",
    train="train",
    test="test",
    store="work_dirs/stores/didemo",
    max_frames=64,
)
