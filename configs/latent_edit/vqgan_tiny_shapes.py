"""A VQGAN of the embedded world's scenes, 16 x 16 words of 512, by reconstruction alone.

Command:   clipkit train latent_edit/vqgan_tiny_shapes.py
           then clipkit edit scene.png --from "a red star" --to "a blue star" --size 64
           --generator work_dirs/latent_edit/vqgan
Options:   variables.folder=DIR (where the generator goes)
Hardware:  1 CPU core
Time:      0.32 s of CPU time a step (one core of an AMD EPYC, beside other work, 2026-11-30)
Expected:  24.1 dB on held-out scenes, 507 of 512 words in use (seed 0, 2026-12-01)
"""

plugins = ["latent_edit"]
variables = dict(folder="work_dirs/latent_edit/vqgan")
iterations = 1400

train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    collate_fn=dict(type="default_collate"),
    sampler=dict(type="DefaultSampler", shuffle=False),  # each scene is seen once
    dataset=dict(type="ScenePictures", length=16 * iterations, seed=1, objects=(1, 1), split=None),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    collate_fn=dict(type="default_collate"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ScenePictures", length=256, seed=0, objects=(1, 1), split=None),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Reconstructed")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(
    type="VQAutoencoder",
    network=dict(widths=(16, 32, 64), layers=1, latent_channels=8, codes=512, groups=8, middle_attention=False),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="ExportVQModelHook", folder="{folder}")]
