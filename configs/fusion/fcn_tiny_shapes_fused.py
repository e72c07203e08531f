"""Feature fusion by configuration alone: fcn_tiny_shapes.py, whose backbone gains the frozen tiny CLIP's dense maps.

Command:   clipkit train fusion/fcn_tiny_shapes_fused.py     (10 %: --cfg-options train_dataloader.dataset.length=2048)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured
Expected:  mIoU over the 78 seen classes: not yet measured
"""

_base_ = ["./fcn_tiny_shapes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="clipkit.FusedBackbone",
        host=_base_.model.backbone,
        clip=dict(name="tiny_clip"),
        data_preprocessor=_base_.model.data_preprocessor,
        levels=(2, 3),
    )
)
