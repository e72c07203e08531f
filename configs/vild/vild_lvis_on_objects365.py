"""Transfer by another vocabulary: a ViLD that was trained on LVIS, tested on Objects365's 365 classes. Nothing trains.

Layout: data/objects365/{val,annotations/zhiyuan_objv2_val.json}; elsewhere: --cfg-options variables.target=PATH.
Command:   clipkit test vild/vild_lvis_on_objects365.py work_dirs/vild_lvis
Hardware:  one GPU
Time:      not yet measured
Expected:  AP: not yet measured here (released, trained on LVIS: 11.8)
"""

_base_ = ["./vild_lvis.py"]

variables = dict(target="data/objects365")
labels = "{target}/annotations/zhiyuan_objv2_val.json"

model = dict(labels=labels)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CocoJsonDataset",
        ann_file="{target}/annotations/zhiyuan_objv2_val.json",
        images="{target}/val",
        classes=labels,
        check=False,
        on_bad="skip",
        pipeline=_base_.test_pipeline,
        test_mode=True,
    )
)
test_evaluator = dict(_delete_=True, type="DetectionAP", ann_file="{target}/annotations/zhiyuan_objv2_val.json")
