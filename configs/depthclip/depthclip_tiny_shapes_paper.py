"""The paper's seven words asked of the tiny CLIP, whose captions never had them: a control.

Command:   clipkit test depthclip/depthclip_tiny_shapes_paper.py none
Hardware:  1 CPU core
Time:      about 20 s of CPU time
Expected:  spearman -.13, AbsRel .363 (seed 0, 2026-11-30)
"""

_base_ = ["./depthclip_tiny_shapes.py"]

model = dict(
    temperature=0.1,
    clip="tiny_clip",
    words=["giant", "extremely close", "close", "not in distance", "a little remote", "far", "unseen"],
)
