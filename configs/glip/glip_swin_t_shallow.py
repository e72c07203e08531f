"""GLIP-T(A), shallow: text and image meet in the dot product alone; the released weights.

Weights:   clipkit convert glip glip_a_tiny_o365.pth glip_a.pth
Command:   as glip_swin_t.py
Time:      not yet measured
Expected:  COCO AP without training: not yet measured here (the paper's: 42.9)
"""

_base_ = ["./glip_swin_t.py"]

model = dict(bbox_head=dict(deep=False))
