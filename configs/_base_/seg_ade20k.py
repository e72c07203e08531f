"""ADE20K with the 150 classes of the scene parsing challenge: 20,210 training and 2,000 validation images.

Layout: ADEChallengeData2016/{images,annotations}/{training,validation}/x.{jpg,png}, masks 1..150, 0 is ignored; as
it is in ADEChallengeData2016.zip. Another place: --cfg-options variables.data=PATH.
"""

_base_ = ["./seg_crops.py"]

variables = dict(data="data/ade/ADEChallengeData2016")
classes = "dataset:mmseg.ADE20KDataset"

train = dict(
    type="mmseg.ADE20KDataset", data_prefix=dict(img_path="images/training", seg_map_path="annotations/training")
)
val = dict(
    type="mmseg.ADE20KDataset", data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation")
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
