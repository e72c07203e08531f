"""CLIP4Clip with CLIP itself trained, on MSR-VTT (9k / 1k-A): frames are read anew in each pass.

Command:   clipkit train clip4clip/clip4clip_msrvtt_tuned.py --amp --cfg-options variables.root=…
Options:   see configs/_base_/clip4clip_tuned.py, and those of clip4clip_msrvtt.py
Hardware:  GPUs
Time:      not yet measured
Expected:  not yet measured; the paper, seqTransf: R@1 44.5 text to video
"""

_base_ = ["../_base_/clip4clip_tuned.py"]

variables = dict(
    data="msrvtt",
    root="data/msrvtt",
    train="train9k",
    test="test1k",
    store="work_dirs/stores/msrvtt",
)
