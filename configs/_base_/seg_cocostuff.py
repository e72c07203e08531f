"""COCO-Stuff with 171 classes: 118,287 training and 5,000 validation images of COCO 2017.

Layout: coco_stuff164k/{images,annotations}/{train2017,val2017}/x.jpg, x_labelTrainIds.png (0..170, 255 ignored), as
mmseg's converter coco_stuff164k.py writes them. Another place: --cfg-options variables.data=PATH.
"""

_base_ = ["./seg_crops.py"]

variables = dict(data="data/coco_stuff164k")
classes = "dataset:mmseg.COCOStuffDataset"

train = dict(
    type="mmseg.COCOStuffDataset", data_prefix=dict(img_path="images/train2017", seg_map_path="annotations/train2017")
)
val = dict(
    type="mmseg.COCOStuffDataset", data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017")
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
