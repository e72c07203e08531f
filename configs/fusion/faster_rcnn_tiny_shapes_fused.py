"""Feature fusion by configuration alone: faster_rcnn_tiny_shapes.py, whose backbone gains the frozen tiny CLIP's maps.

Command:   clipkit train fusion/faster_rcnn_tiny_shapes_fused.py
Hardware:  2 CPU cores
Time:      9 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  AP50 over all 96 classes 39.1 (seed 0; the host alone 30.4)
"""

_base_ = ["./faster_rcnn_tiny_shapes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="clipkit.FusedBackbone",
        host=_base_.model.backbone,
        clip=dict(name="tiny_clip"),
        data_preprocessor=_base_.model.data_preprocessor,
        levels=(1, 2, 3),
    )
)
