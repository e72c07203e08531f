"""The paper's seven words asked of the tiny CLIP, whose captions never had them: a control.

Command:   clipkit test depthclip/depthclip_tiny_shapes_paper.py none
Hardware:  1 CPU core
Time:      not measured yet
Expected:  not measured yet
"""

_base_ = ["./depthclip_tiny_shapes.py"]

model = dict(
    clip="tiny_clip",
    words=["giant", "extremely close", "close", "not in distance", "a little remote", "far", "unseen"],
)
