"""GLIP-T(B)'s training: Objects365's boxes as lists of names, up to 85 a prompt.

Layout:    data/objects365/{train.json,val.json,train,val}
Command:   torchrun --nproc_per_node=16 tools/train.py glip/glip_objects365.py --cfg-options variables.bert=FOLDER
Hardware:  64 pictures a step, for instance 32 GPUs with 2, as the paper
Time:      not yet measured
Expected:  COCO AP without training on it: not yet measured here (the paper's: 44.9)
"""

_base_ = ["./glip_swin_t.py"]

variables = dict(data="data/objects365")
iterations = 300000  # 30 epochs of 600,000 pictures, 64 a step

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{data}/train.json", images="{data}/train", check=False, on_bad="skip",
        pipeline=[
            *_base_.load,
            dict(
                type="mmdet.RandomChoiceResize", keep_ratio=True, resize_type="mmdet.Resize",
                scales=[(480, 1333), (560, 1333), (640, 1333), (720, 1333), (800, 1333)],
            ),
            dict(type="mmdet.RandomFlip", prob=0.5),
            dict(type="GroundingPrompt", classes="{data}/train.json", names=(1, 85), hard=0.0, empty=0.0),
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=("img_id", "img_path", "img_shape", "scale_factor", "flip", "prompt", "object_phrases"),
            ),
        ],
    ),
)  # fmt: skip
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{data}/val.json", images="{data}/val", classes="{data}/train.json",
        check=False, on_bad="skip", pipeline=_base_.test_pipeline, test_mode=True,
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(type="DetectionAP", ann_file="{data}/val.json", kinds="bbox")
test_evaluator = val_evaluator
model = dict(classes="{data}/train.json")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations // 10)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=2000),
    dict(type="MultiStepLR", by_epoch=False, milestones=[200000, 280000], gamma=0.1),
]
custom_hooks = [dict(type="EMAHook", momentum=0.001, update_buffers=True)]
default_hooks = dict(checkpoint=dict(type="clipkit.AtomicCheckpointHook", interval=10000))
