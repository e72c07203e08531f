"""CLIP4Clip on MSVD, CLIP ViT-B/32 frozen.

Many sentences a video, also in the test: a video is found by the best of its own.

Command:   clipkit train clip4clip/clip4clip_msvd.py --cfg-options variables.root=data/msvd
Options:   variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.videos=FOLDER      where the videos lie (default: root/videos)
           variables.on_bad=skip        go on without videos that are missing or broken
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
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
