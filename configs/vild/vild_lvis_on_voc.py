"""Transfer by another vocabulary: a ViLD that was trained on LVIS, tested on Pascal VOC's 20 classes. Nothing trains.

Layout: data/VOC2007, Pascal VOC's layout; elsewhere: --cfg-options variables.target=PATH.
Command:   clipkit test vild/vild_lvis_on_voc.py work_dirs/vild_lvis
Hardware:  one GPU
Time:      not yet measured
Expected:  AP50: not yet measured here (released, trained on LVIS: 72.2)
"""

_base_ = ["./vild_lvis.py"]

variables = dict(target="data/VOC2007")
labels = "dataset:mmdet.VOCDataset"

model = dict(labels=labels)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="VocXmlDataset",
        data_root="{target}",
        split="test",
        classes=labels,
        check=False,
        on_bad="skip",
        pipeline=_base_.test_pipeline,
        test_mode=True,
    )
)
test_evaluator = dict(_delete_=True, type="DetectionAP")
