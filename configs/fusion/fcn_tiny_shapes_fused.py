"""Feature fusion by configuration alone: fcn_tiny_shapes.py, whose backbone gains the frozen tiny CLIP's dense maps.

Command:   clipkit train fusion/fcn_tiny_shapes_fused.py     (10 %: --cfg-options train_dataloader.dataset.length=2048)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      5 to 6 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  mIoU 35.0 over the 78 seen classes, 60.0 with 10 % of the scenes (means of seeds 10 to 12)
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
