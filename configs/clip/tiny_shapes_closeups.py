"""Second stage of the tiny CLIP: its image tower learns close-ups, objects cut out of crowded scenes, as a detector's
regions show them (ViLD), while the text tower stays as it is.

After the first stage alone 96 names are told apart in 99 % of whole scenes, and in 45.6 % of such crops.

command:  python tools/train.py configs/clip/tiny_shapes_closeups.py --amp
          with the first stage's result elsewhere: --cfg-options variables.start=FOLDER
hardware: 2 CPU cores with bfloat16 units (without them, leave --amp away), or one GPU
time:     16 minutes on one core (AMD EPYC, shared, 2026-11-21)
expect:   96 names >= 97 %, of close-ups >= 80 %, texture >= 90 %, text-to-image R@1 >= 60 % of 1,000
measured: 98.5 %, 86.5 %, 91.8 %, 89.9 %; backgrounds 92.4 % (seed 0; the shipped weights, 2026-11-21; log in
          clipkit/shapes/tiny_clip)
"""

_base_ = ["./tiny_shapes.py"]

variables = dict(start="work_dirs/tiny_shapes/open_clip")
iterations = 600

model = dict(clip="local-dir:{start}", trains=["visual", "logit_scale"])
train_dataloader = dict(dataset=dict(seed=1, warmup=0, closeups=1))
train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0.0),
]
