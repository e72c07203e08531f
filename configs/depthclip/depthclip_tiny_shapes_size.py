"""Size words, which the tiny CLIP knows, in place of distances: what is large is near. A control, for size alone is
ambiguous here.

Command:   clipkit test depthclip/depthclip_tiny_shapes_size.py none
Hardware:  1 CPU core
Time:      about 20 s of CPU time
Expected:  spearman .11, AbsRel .448 (seed 0, 2026-11-30)
"""

_base_ = ["./depthclip_tiny_shapes.py"]

model = dict(
    clip="tiny_clip",
    words=["large", "small"],
    bins=[1.0, 3.0],
    template="a {} object",
    temperature=1.0,
)
