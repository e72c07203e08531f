"""GLIP in the embedded world, shallow: scenes of 64 pixels, asked by lists of names and by captions.

Only 72 seen pairs of colour and shape are in the training scenes and their prompts; at test time 96 names compete.

Command:   clipkit train glip/glip_tiny_shapes.py      (one suppression over all names: clipkit test
           glip/glip_tiny_shapes.py work_dirs/glip_tiny_shapes --cfg-options model.test_cfg.nms_over=all)
Hardware:  1 CPU core (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      7 CPU minutes, the evaluation included (2026-11-30, 15 to 22 minutes beside other work)
Expected:  AP50 85.3, unseen pairs 81.5, phrase R@1 98.6 (mean of seeds 0 to 2); over all names 86.9 and 82.7
"""

_base_ = ["../_base_/glip_small.py"]

default_scope = "clipkit"
plugins = ["glip"]

classes = "shapes:objects"
seen = "shapes:objects:composition"
iterations = 1200

model = dict(classes=classes, **_base_.grounder)
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="ShapesGroundingDataset",
        length=8192,
        seed=1,
        subset="seen",
        pipeline=[
            dict(type="GroundingPrompt", classes=seen, names=(24, 48), hard=0.5, empty=0.25, single=0.1, captions=0.25),
            dict(type="mmdet.PackDetInputs", meta_keys=("img_id", "img_shape", "prompt", "object_phrases")),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ShapesGroundingDataset",
        length=512,
        seed=2,
        test_mode=True,
        pipeline=[
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=(
                    "img_id", "ori_shape", "img_shape", "scale_factor", "instances", "prompts", "phrase_truth",
                ),
            ),
        ],
    ),
)  # fmt: skip
test_dataloader = val_dataloader
val_evaluator = [dict(type="DetectionAP", kinds="bbox"), dict(type="PhraseRecall")]
test_evaluator = val_evaluator

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AmpOptimWrapper",
    dtype="bf16",
    optimizer=dict(type="AdamW", lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=2.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
visualizer = dict(type="mmdet.DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
