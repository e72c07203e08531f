"""The released GLIP-T, trained further on your own captions and boxes.

Layout:    data/mine/train.jsonl and val.jsonl, a picture a line: {"image": "a.jpg", "caption": "a man left of the red
           car", "phrases": [{"spans": [[0, 5]], "boxes": [[8, 9, 60, 99]]}]}, boxes as x1 y1 x2 y2; pictures in images/
Weights:   see glip_swin_t.py
Command:   clipkit train glip/glip_captions.py --cfg-options variables.data=PATH \\
               variables.bert=FOLDER load_from=glip_tiny.pth
Hardware:  1 GPU of 24 GB, expected
Time:      not yet measured
Expected:  depends on the data
"""

_base_ = ["./glip_swin_t.py"]

variables = dict(data="data/mine", images="images", train="train.jsonl", val="val.jsonl")
iterations = 2000

resize = dict(
    type="mmdet.RandomChoiceResize", scales=[(480, 1333), (640, 1333), (800, 1333)], keep_ratio=True,
    resize_type="mmdet.Resize",
)  # fmt: skip
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="GroundedCaptions", ann_file="{train}", images="{images}", data_root="{data}",
        # No mirror: it would make a lie of "left".
        pipeline=[
            *_base_.load,
            resize,
            dict(type="GroundingPrompt"),
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=("img_id", "img_path", "img_shape", "scale_factor", "prompt", "object_phrases"),
            ),
        ],
    ),
)  # fmt: skip
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="GroundedCaptions", ann_file="{val}", images="{images}", data_root="{data}",
        pipeline=_base_.test_pipeline, test_mode=True,
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = dict(type="PhraseRecall")
test_evaluator = val_evaluator
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(optimizer=dict(lr=1e-5))
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[1400, 1800], gamma=0.1)]
