"""CLIP4Clip on DiDeMo, CLIP ViT-B/32 frozen.

A video's descriptions are one paragraph; the first 31 seconds; 64 frames.

Command:   clipkit train clip4clip/clip4clip_didemo.py --cfg-options variables.root=data/didemo
Options:   variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.videos=FOLDER      where the videos lie (default: root/videos)
           variables.on_bad=skip        go on without videos that are missing or broken
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
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
