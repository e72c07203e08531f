"""CLIP4Clip on ActivityNet Captions (val_1), CLIP ViT-B/32 frozen.

A video's sentences are one paragraph; 64 frames.

Command:   clipkit train clip4clip/clip4clip_activitynet.py --cfg-options variables.root=data/activitynet
Options:   variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.videos=FOLDER      where the videos lie (default: root/videos)
           variables.on_bad=skip        go on without videos that are missing or broken
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
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
