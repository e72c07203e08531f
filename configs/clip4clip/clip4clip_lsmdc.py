"""CLIP4Clip on LSMDC, CLIP ViT-B/32 frozen.

One sentence a clip of a film.

Command:   clipkit train clip4clip/clip4clip_lsmdc.py --cfg-options variables.root=data/lsmdc
Options:   see configs/_base_/clip4clip.py
Hardware:  one GPU, or a patient CPU: embedding the frames once is nearly all of the work
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["../_base_/clip4clip.py"]

variables = dict(
    data="lsmdc",
    root="data/lsmdc",
    train="train",
    test="test",
    store="work_dirs/stores/lsmdc",
)
