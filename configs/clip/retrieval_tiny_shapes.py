"""Image and text retrieval in the embedded world: 1,000 scenes of two objects, their exhaustive captions.

Command:   clipkit test clip/retrieval_tiny_shapes.py none
Hardware:  CPU
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["../_base_/clip_zeroshot.py"]

model = dict(clip="tiny_shapes", pretrained=None)
test_dataloader = dict(dataset=dict(type="ShapesCaptioned", count=1000))
test_cfg = dict(type="ImageTextLoop")
