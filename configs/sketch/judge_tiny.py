"""A network that names the twelve shapes, from fills, outlines and shading, in all colours, by unsteady hands.

It judges drawings that were made for a CLIP, which that CLIP itself cannot; it never sees one of them in training.

Command:   clipkit train sketch/judge_tiny.py
Hardware:  1 CPU core
Time:      100 s of CPU time (one core of an AMD EPYC, beside other work, 2026-11-30)
Expected:  names 100.0 % of 1,024 clean outlines (one seed)
"""

plugins = ["sketch"]
iterations = 400

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    collate_fn=dict(type="default_collate"),
    sampler=dict(type="DefaultSampler", shuffle=False),  # each drawing is seen once
    dataset=dict(
        type="Outlines",
        length=64 * iterations,
        seed=1,
        width=(0.8, 6.0),
        filled=0.25,
        coloured=0.5,
        unsteady=0.08,
        gaps=0.3,
        hatched=0.4,
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    collate_fn=dict(type="default_collate"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="Outlines", length=1024, seed=0),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ShapesNamed")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(type="ShapeJudge")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.02))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
