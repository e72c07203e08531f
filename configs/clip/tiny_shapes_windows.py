"""Fourth stage of the tiny CLIP, whose result is the shipped `distance_clip`: windows of 16 and of 4 patches at a
scene's own scale, so that few patches tell how far an object is. After the third stage alone, patches inside near
objects are taken for far ones.

command:  python tools/train.py configs/clip/tiny_shapes_windows.py --amp
          with the third stage's result elsewhere: --cfg-options variables.start=FOLDER
hardware: 1 CPU core with bfloat16 units (without them, leave --amp away), or one GPU
time:     55 s of CPU time (AMD EPYC, 2026-11-30)
measured: 96 names 98.4 %, of close-ups 74.2 %, texture 75.2 %, backgrounds 91.8 %, text-to-image R@1 91.6 % of 500
          (seed 0; the shipped weights, log in clipkit/shapes/distance_clip)
"""

_base_ = ["./tiny_shapes_distances.py"]

variables = dict(start="work_dirs/tiny_shapes_distances/open_clip")
iterations = 64

model = dict(clip="local-dir:{start}")
train_dataloader = dict(dataset=dict(seed=3, distances=1, windows=(32, 16, 16)))
train_cfg = dict(max_iters=iterations)
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=8),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=8, end=iterations, eta_min=0.0),
]
custom_hooks = [dict(type="ExportOpenClipHook", count=500)]
