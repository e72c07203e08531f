"""CLIP4Clip on long films in the embedded world, trained as VideoCLIP is: windows of film and text that overlap.

Command:   clipkit train clip4clip/clip4clip_tiny_stories.py
Siblings:  clip4clip_tiny_stories_{aligned,retrieved}.py
Hardware:  2 CPU cores
Time:      about 27 s of CPU time (one core of an AMD EPYC, beside other work, 2026-11-30), and once 40 for the films
Expected:  not yet measured
"""

_base_ = ["../_base_/stories.py"]

plugins = ["clip4clip"]
iterations = 300

model = dict(
    type="CLIP4Clip",
    clip=dict(name="tiny_clip"),
    head=dict(type="seqLSTM", contrast=True),
    tune=dict(unfreeze=["transformer.*", "ln_final.*", "text_projection"]),
    objective=dict(overlap=0.5),
)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={"clip.": dict(lr_mult=0.5)}),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="ModelForMetricsHook")]
default_hooks = dict(checkpoint=dict(type="AtomicCheckpointHook", interval=100))
