"""Distillation by configuration alone: mmseg's FCN of fusion/fcn_tiny_shapes.py as the student of the frozen tiny CLIP,
whose dense embeddings its last stage learns. Its weights are tested without CLIP by the student's own config:
clipkit test fusion/fcn_tiny_shapes.py work_dirs/fcn_tiny_shapes_distilled

Command:   clipkit train distillation/fcn_tiny_shapes_distilled.py --cfg-options train_dataloader.dataset.length=2048
           (10 % of the scenes; without teacher: fusion/fcn_tiny_shapes.py)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      5 to 6 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  mIoU 40.9 over the 78 seen classes (seeds 10 to 12; the host alone 31.7)
"""

_base_ = ["../fusion/fcn_tiny_shapes.py"]

model = dict(
    _delete_=True,
    type="DistilledModel",
    student=_base_.model,
    clip=dict(name="tiny_clip"),
    targets=[
        dict(
            layer="backbone.layer4", kind="dense", channels=256, loss=dict(type="clipkit.CosineDistillLoss", weight=2.0)
        )
    ],
)
