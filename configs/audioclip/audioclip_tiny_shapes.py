"""A tower for sound joins the frozen tiny CLIP in the embedded world, where shape, size, colour, texture and ground can
be heard. Pictures, captions and spectrograms are stored once; only the tower trains.

Command:   clipkit train audioclip/audioclip_tiny_shapes.py
           clipkit predict work_dirs/audioclip_tiny_shapes sound.wav --labels "a red star, a blue ring"
Hardware:  1 CPU core
Time:      77 s of CPU time, and once 25 s for the store (AMD EPYC, shared, 2026-11-30)
Expected:  R@1 of the four directions with sound at least 80.0/77.6/85.0, names by sound 64.2/61.8/69.8 (seeds 0/1/2);
           image to text 95.0 and text to image 92.8, as before
"""

plugins = ["audioclip"]
variables = dict(store="work_dirs/audioclip/store", clip="tiny_clip", pretrained=None)
iterations = 450

scenes = dict(type="SceneSounds", clip=dict(name="{clip}", pretrained="{pretrained}"), store="{store}")
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(length=3200, seed=1, **scenes),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(length=500, seed=0, distinct=True, **scenes),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SoundMetric")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
custom_hooks = [dict(type="ModelForMetricsHook")]

model = dict(type="AudioCLIP", clip=dict(name="{clip}", pretrained="{pretrained}"), prompt="a {}")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=4e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.04, by_epoch=False, begin=0, end=90),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=90, end=iterations, eta_min=0),
]
