"""CLIP4Clip on LSMDC, CLIP ViT-B/32 frozen.

One sentence a clip of a film.

Command:   clipkit train clip4clip/clip4clip_lsmdc.py --cfg-options variables.root=data/lsmdc
Options:   variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.videos=FOLDER      where the videos lie (default: root/videos)
           variables.on_bad=skip        go on without videos that are missing or broken
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
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
