"""PASCAL VOC 2012, 20 classes and background: 1,464 training and 1,449 validation images.

Layout: VOCdevkit/VOC2012 with JPEGImages/x.jpg, SegmentationClass/x.png (0 background, 1..20, 255 ignored) and the
lists ImageSets/Segmentation/{train,val}.txt, as it is in VOCtrainval_11-May-2012.tar. SBD's 10,582 training images, as
mmsegmentation's voc_aug.py makes them: --cfg-options
train_dataloader.dataset.ann_file=ImageSets/Segmentation/trainaug.txt
train_dataloader.dataset.data_prefix.seg_map_path=SegmentationClassAug. Another place: variables.data=PATH.
"""

_base_ = ["./seg_crops.py"]

variables = dict(data="data/VOCdevkit/VOC2012")
classes = "dataset:mmseg.PascalVOCDataset"

masks = dict(type="mmseg.PascalVOCDataset", data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"))
train_dataloader = dict(dataset=dict(ann_file="ImageSets/Segmentation/train.txt", **masks))
val_dataloader = dict(dataset=dict(ann_file="ImageSets/Segmentation/val.txt", **masks))
test_dataloader = dict(dataset=dict(ann_file="ImageSets/Segmentation/val.txt", **masks))
