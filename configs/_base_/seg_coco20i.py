"""COCO-20i: 60 of COCO's classes train, the other 20 of a fold are tested. See `seg_fewshot.py`.

train2014.zip, val2014.zip and annotations_trainval2014.zip in data/coco2014; then (needs pycocotools)
    python -m clipkit.data.fewshot_lists coco20i data/coco2014
"""

_base_ = ["./seg_fewshot.py"]

variables = dict(data="data/coco2014", fold=0)
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
train_dataloader = dict(dataset=dict(benchmark="coco20i", classes=classes))
val_dataloader = dict(dataset=dict(benchmark="coco20i", classes=classes))
test_dataloader = dict(dataset=dict(benchmark="coco20i", classes=classes))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=7750)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
