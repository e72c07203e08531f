"""CLIP4Clip on MSR-VTT (9k / 1k-A), CLIP ViT-B/32 frozen.

variables.train=train7k is the smaller training split. 20 sentences a video in training, one in the test.

Command:   clipkit train clip4clip/clip4clip_msrvtt.py --cfg-options variables.root=data/msrvtt
Options:   variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.videos=FOLDER      where the videos lie (default: root/videos)
           variables.on_bad=skip        go on without videos that are missing or broken
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
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
