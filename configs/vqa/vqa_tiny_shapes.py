"""Questions about scenes of the embedded world, answered from the frozen tiny CLIP's grid: colour, shape, texture,
count, ground, existence, place and relation. Its grids are stored once; a small transformer trains on them.

Command:   clipkit train vqa/vqa_tiny_shapes.py --amp
           clipkit test vqa/vqa_tiny_shapes.py work_dirs/vqa_tiny_shapes       # on other scenes than it validates on
           clipkit predict work_dirs/vqa_tiny_shapes scene.png --ask "what colour is the star?"
Siblings:  vqa_tiny_shapes_{blind,plain}.py
Hardware:  1 CPU core
Time:      70 s of CPU time, and once 40 s for the grids (AMD EPYC, shared, 2026-11-30)
Expected:  test: all 86.8/87.1/86.1, colour 88.6/88.8/88.4, shape 81.5/84.8/81.5, texture 80.2/80.8/79.0, count
           76.8/77.0/75.6, existence 80.1/80.3/81.2, ground 100, relation 97.6/96.3/96.6 (seeds 0/1/2)
"""

plugins = ["vqa"]
variables = dict(store="work_dirs/vqa/store", clip="tiny_clip", pretrained=None)
iterations = 800

scenes = dict(type="SceneQuestions", clip=dict(name="{clip}", pretrained="{pretrained}"), store="{store}")
train_dataloader = dict(
    batch_size=16,  # scenes of 8 questions
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        length=3072, seed=1, mix=dict(count=2.0, existence=1.5, shape=1.5, texture=1.5, relation=1.5), **scenes
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(length=512, seed=2, test_mode=True, **scenes),  # to choose by
)
test_dataloader = dict(
    batch_size=64,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(length=512, seed=0, test_mode=True, **scenes),
)
val_evaluator = dict(type="VQAAccuracy")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(type="GridVQA", clip=dict(name="{clip}", pretrained="{pretrained}"), vocabulary="shapes")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
