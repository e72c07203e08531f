"""Third stage of the tiny CLIP, the shipped `distance_clip`: the whole of it learns how far things are, by captions
like "this object is quite far" and "a red star close and a blue ring very far". A quarter of the batches has the
captions of the first stage, a quarter the close-ups of the second: without them it forgets both.

command:  python tools/train.py configs/clip/tiny_shapes_distances.py --amp
hardware: 1 CPU core with bfloat16 units (without them, leave --amp away), or one GPU
time:     about 5 minutes of CPU time (AMD EPYC, 2026-11-30; 18 minutes beside much other work)
measured: 96 names 98.5 %, of close-ups 80.3 %, texture 79.5 %, backgrounds 86.4 %, text-to-image R@1 90.1 % of 1,000
          (seed 0); depth by its words: spearman .58/.51/.48, AbsRel .44/.43/.48 (stride 8, temperature 1)
"""

_base_ = ["./tiny_shapes.py"]

batch = 96
iterations = 320

model = dict(clip="tiny_clip", trains=["all"])
train_dataloader = dict(dataset=dict(batch=batch, seed=2, warmup=0, closeups=1, distances=2))
train_cfg = dict(max_iters=iterations, val_interval=10**9)  # measured at the end, by the hook
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=30, end=iterations, eta_min=0.0),
]
default_hooks = dict(checkpoint=dict(interval=80))
