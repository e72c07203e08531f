"""Pretrains the tiny CLIP on the captions of clipkit.shapes; tiny_shapes_closeups.py is its second stage.

command:  python tools/train.py configs/clip/tiny_shapes.py --amp
hardware: 2 CPU cores with bfloat16 units (without them, leave --amp away), or one GPU
time:     18 minutes on 2 shared cores (Intel Xeon with AMX, 2026-11-21)
expect:   held-out scenes: 96 colour-shape names >= 97 %, texture >= 90 %, text-to-image R@1 >= 60 % of 1,000
measured: 99.3 %, 93.6 %, 95.9 %; backgrounds 90.3 % (seed 0, 192,000 images, 2026-11-21; log in
          clipkit/shapes/tiny_clip, whose `texture` is another measure: with the mean of a texture's 96 prompts as its
          classifier it is 47.9 %)
"""

batch = 128
iterations = 1500

model = dict(type="ContrastivePretrainer", clip="tiny-shapes", fused_attention=False)
train_dataloader = dict(
    batch_size=1,  # an item of the data set is a batch
    num_workers=0,  # a batch renders in 0.04 s
    dataset=dict(type="ShapesCaptions", batch=batch, warmup=400),
    sampler=dict(type="ResumableInfiniteSampler", shuffle=False),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=500)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, betas=(0.9, 0.98), weight_decay=0.1),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0.0),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    dataset=dict(type="ShapesCaptions", batch=1, length=1),
    sampler=dict(type="DefaultSampler", shuffle=False),
)
val_cfg = dict(type="ShapesZeroShotLoop")
val_evaluator = []
test_dataloader, test_cfg, test_evaluator = val_dataloader, val_cfg, val_evaluator
custom_hooks = [dict(type="ExportOpenClipHook", count=1000)]
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=25, log_metric_by_epoch=False),
    checkpoint=dict(type="AtomicCheckpointHook", interval=200),
)
