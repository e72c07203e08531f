"""PASCAL-Context with all its 459 classes: 4,998 training and 5,105 validation images.

Layout: VOCdevkit/VOC2010 with JPEGImages/x.jpg, and PASCAL-Context's trainval/x.mat (from trainval.tar.gz; ids from 1)
and labels.txt; the lists ImageSets/SegmentationContext/{train,val}.txt are those of mmseg's converter
pascal_context.py. Another place: --cfg-options variables.data=PATH variables.names=FILE.
"""

_base_ = ["./seg_wide.py"]

variables = dict(data="data/VOCdevkit/VOC2010", names="data/VOCdevkit/VOC2010/labels.txt")
classes = "{names}"

masks = dict(first_id=1, seg_map_suffix=".mat", data_prefix=dict(img_path="JPEGImages", seg_map_path="trainval"))
train_dataloader = dict(dataset=dict(ann_file="ImageSets/SegmentationContext/train.txt", **masks))
val_dataloader = dict(dataset=dict(ann_file="ImageSets/SegmentationContext/val.txt", **masks))
test_dataloader = dict(dataset=dict(ann_file="ImageSets/SegmentationContext/val.txt", **masks))
