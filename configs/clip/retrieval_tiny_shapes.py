"""Image and text retrieval in the embedded world: 1,000 scenes of two objects, their exhaustive captions.

Command:   clipkit test clip/retrieval_tiny_shapes.py none
Hardware:  CPU
Time:      8 s of CPU time (one core of an AMD EPYC, 2026-11-21)
Expected:  R@1 text to image 89.8, image to text 91.0 (2026-11-21; nothing is random)
"""

_base_ = ["../_base_/clip_zeroshot.py"]

model = dict(clip="tiny_clip")
test_dataloader = dict(dataset=dict(type="ShapesCaptioned", count=1000))
test_cfg = dict(type="ImageTextLoop")
