"""CLIP4Clip on MSR-VTT (9k / 1k-A), CLIP ViT-B/32 frozen.

variables.train=train7k is the smaller training split. 20 sentences a video in training, one in the test.

Command:   clipkit train clip4clip/clip4clip_msrvtt.py --cfg-options variables.root=data/msrvtt
Options:   see configs/_base_/clip4clip.py
Hardware:  one GPU, or a patient CPU: embedding the frames once is nearly all of the work
Time:      not yet measured
Expected:  not yet measured; the paper, whole CLIP trained, seqTransf: R@1 44.5 text to video
"""

_base_ = ["../_base_/clip4clip.py"]

variables = dict(
    data="msrvtt",
    root="data/msrvtt",
    train="train9k",
    test="test1k",
    store="work_dirs/stores/msrvtt",
)
