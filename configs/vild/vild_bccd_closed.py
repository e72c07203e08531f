"""The baseline of vild_bccd.py: mmdet's own Faster R-CNN with a linear classifier; same backbone, head, schedule.

Command:   clipkit train vild/vild_bccd_closed.py      (data elsewhere: --cfg-options variables.data=PATH)
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      9 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  AP on val 54.2, AP50 87.9 (seed 0)
"""

_base_ = ["../_base_/det_bccd.py"]

roi_head = dict(
    type="StandardRoIHead",
    bbox_roi_extractor=_base_.detector["roi_head"]["bbox_roi_extractor"],
    bbox_head=dict(_base_.detector["roi_head"]["bbox_head"], type="ConvFCBBoxHead", num_classes=3),
)

model = dict(type="mmdet.FasterRCNN", _scope_="mmdet", **{**_base_.detector, "roi_head": roi_head})
