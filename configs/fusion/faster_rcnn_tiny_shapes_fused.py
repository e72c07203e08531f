"""Feature fusion by configuration alone: faster_rcnn_tiny_shapes.py, whose backbone gains the frozen tiny CLIP's maps.

Command:   clipkit train fusion/faster_rcnn_tiny_shapes_fused.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  AP50 over all classes: not yet measured
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
