"""LSeg on COCO-20i, zero-shot: trained with 60 of COCO's classes, tested on the other 20 of a fold.

Data:      train2014.zip, val2014.zip and annotations_trainval2014.zip in data/coco2014; then (needs pycocotools)
           python -m clipkit.data.fewshot_lists coco20i data/coco2014
Command:   for fold in 0 1 2 3; do clipkit train lseg/lseg_coco20i.py --work-dir work_dirs/coco20i_$fold \
             --cfg-options variables.fold=$fold; done             (data elsewhere: variables.data=PATH)
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU of folds 0-3: ResNet-101 22.1 25.1 24.9 21.5, mean 23.4 (its README);
           ViT-L/16 mean 27.2; FB-IoU 57.9 and 59.9 (all these second-hand, not checked against the paper). The recipe
           is unpublished, see _base_/seg_fewshot.py
"""

_base_ = ["../_base_/seg_fewshot.py"]

iterations = 31000  # 4 epochs of fold 0's 62,040 episodes, 2 samples each
# As the original writes them, in the order of COCO's ids.
# fmt: off
classes = [
    "person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat", "trafficlight",
    "firehydrant", "stopsign", "parkingmeter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sportsball", "kite", "baseballbat", "baseballglove", "skateboard", "surfboard",
    "tennisracket", "bottle", "wineglass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hotdog", "pizza", "donut", "cake", "chair", "sofa", "pottedplant", "bed",
    "diningtable", "toilet", "tvmonitor", "laptop", "mouse", "remote", "keyboard", "cellphone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddybear", "hairdrier", "toothbrush",
]
# fmt: on
variables = dict(benchmark="coco20i", data="data/coco2014")
train_dataloader = dict(dataset=dict(classes=classes))
val_dataloader = dict(dataset=dict(classes=classes))
test_dataloader = dict(dataset=dict(classes=classes))
model = dict(classes=classes)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=7750)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
