"""LSeg on your own data as other tools and `clipkit label` write it: COCO, YOLO with outlines, or masks. No Python
needed. Pixels without a label are ignored.

Where the parts of a set lie is said in `clipkit.data.formats`; variables.train_split=train and variables.val_split=val
take parts of one folder. Boxes without masks train a detector: vild/vild_folder.py. Needs the extra `formats`.

Command:   clipkit train lseg/lseg_formats.py --cfg-options variables.format=coco variables.train=my/train \\
             variables.val=my/val variables.labels=my/labels.txt
Options:   variables.images=my/photos     COCO's images, where they do not lie with the JSON
           variables.clip / variables.weights   CLIP for the names: an open_clip name, and a tag or a local file
           train_dataloader.dataset.on_bad=skip leaves damaged files out instead of stopping
Hardware:  any; the defaults suit a GPU or a patient CPU
Time:      a step takes about a second on 2 CPU cores
Expected:  depends on your data
"""

_base_ = ["./lseg_folder.py"]

variables = dict(
    format="coco", train="data/mine/train", val="data/mine/val", train_split=None, val_split=None, images=None
)
load = [dict(type="mmcv.LoadImageFromFile"), dict(type="LoadObjectMasks")]
test_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmcv.Resize", scale=(1024, 384), keep_ratio=True),
    dict(type="LoadObjectMasks"),
    dict(type="mmseg.PackSegInputs"),
]
dataset = dict(type="FormatSegDataset", format="{format}", classes="{labels}", images="{images}")
train_dataloader = dict(
    dataset=dict(
        _delete_=True, root="{train}", split="{train_split}", pipeline=[*load, *_base_.train_pipeline[2:]], **dataset
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True, root="{val}", split="{val_split}", pipeline=test_pipeline, test_mode=True, **dataset
    )
)  # fmt: skip
test_dataloader = val_dataloader
