"""k-means of the frozen tiny CLIP's tokens, each cluster named by CLIP itself: nothing trains.

Command:   clipkit test groupvit/groupvit_tiny_shapes_kmeans_clip.py none
           clusters of colours: --cfg-options model.colours=True
Hardware:  CPU
Time:      30 s of CPU time (one core of an AMD EPYC, shared with other work, 2026-11-30)
Expected:  mIoU seen 31.0, unseen 27.8, oracle 51.4 (2026-11-30; nothing is random but the scenes, seed 2)
"""

_base_ = ["../_base_/groupvit_shapes.py"]

model = dict(
    type="KMeansCLIP",
    data_preprocessor=_base_.data_preprocessor,
    classes="shapes",
    text=dict(clip="tiny_clip"),
    clusters=8,
    stride=4,
    precision="fp32",
)
