"""ViLD-text on your own data as other tools and `clipkit label` write it: COCO, Pascal VOC, YOLO, or masks, whose
connected regions are the objects. No Python needed. Needs the extra `formats`.

Where the parts of a set lie is said in `clipkit.data.formats`; variables.train_split=train and variables.val_split=val
take parts of one folder. More about the model and its options: vild_coco_json.py.

Command:   clipkit train vild/vild_folder.py --cfg-options variables.format=yolo variables.train=my/train \\
               variables.val=my/val variables.labels=my/labels.txt
Options:   variables.images=my/photos     COCO's images, where they do not lie with the JSON
           variables.base=my/base.txt     a label file of the classes to train on (default: all)
           variables.clip / variables.weights   CLIP for the names: an open_clip name, and a tag or a local file
           train_dataloader.dataset.on_bad=skip leaves bad images and boxes out instead of stopping
Hardware:  any; the defaults (ResNet-18 from scratch, up to 640 pixels) suit a GPU or a patient CPU
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["./vild_coco_json.py"]

variables = dict(
    format="coco", train="data/mine/train", val="data/mine/val", train_split=None, val_split=None, images=None,
    labels="data/mine/labels.txt",
)  # fmt: skip
dataset = dict(
    type="FormatDataset", format="{format}", classes="{labels}", base_classes="{base}", images="{images}"
)  # fmt: skip
train_dataloader = dict(
    dataset=dict(
        _delete_=True, data_root="{train}", split="{train_split}", labelled="base",
        pipeline=[*_base_.load, *_base_.augment], **dataset,
    )
)  # fmt: skip
val_dataloader = dict(
    dataset=dict(
        _delete_=True, data_root="{val}", split="{val_split}", test_mode=True,
        pipeline=_base_.val_dataloader["dataset"]["pipeline"], **dataset,
    )
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="DetectionAP")
test_evaluator = val_evaluator
model = dict(classes="{labels}")
