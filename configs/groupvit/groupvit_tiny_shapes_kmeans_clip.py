"""k-means of the frozen tiny CLIP's tokens, each cluster named by CLIP itself: nothing trains.

Command:   clipkit test groupvit/groupvit_tiny_shapes_kmeans_clip.py none
           clusters of colours: --cfg-options model.colours=True
Hardware:  CPU
Time:      not measured yet
Expected:  not measured yet
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
