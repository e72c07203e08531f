"""GLIP-L with the released weights.

Weights:   clipkit convert glip glip_large_model.pth glip_large.pth
Command:   as glip_swin_t.py
Time:      not yet measured
Expected:  COCO AP without training: not yet measured here (the release's: 51.4)
"""

_base_ = ["./glip_swin_t.py"]

model = dict(
    backbone=dict(embed_dims=192, depths=[2, 2, 18, 2], num_heads=[6, 12, 24, 48], window_size=12, drop_path_rate=0.4),
    neck=dict(in_channels=[384, 768, 1536]),
    bbox_head=dict(blocks=8),
)
