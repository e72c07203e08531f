"""PASCAL-Context with its 59 most frequent classes, background ignored: 4,998 training and 5,105 validation images.

Layout: VOCdevkit/VOC2010 with JPEGImages/x.jpg, SegmentationClassContext/x.png (0 background, 1..59) and the lists
ImageSets/SegmentationContext/{train,val}.txt, as mmseg's converter pascal_context.py writes them.
Another place: --cfg-options variables.data=PATH.
"""

_base_ = ["./seg_crops.py"]

variables = dict(data="data/VOCdevkit/VOC2010")
classes = "dataset:mmseg.PascalContextDataset59"

masks = dict(
    type="mmseg.PascalContextDataset59",
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
)
train_dataloader = dict(dataset=dict(ann_file="ImageSets/SegmentationContext/train.txt", **masks))
val_dataloader = dict(dataset=dict(ann_file="ImageSets/SegmentationContext/val.txt", **masks))
test_dataloader = dict(dataset=dict(ann_file="ImageSets/SegmentationContext/val.txt", **masks))
