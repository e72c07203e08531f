"""CLIP4Clip in the embedded world with head tightTransf: a transformer over sentence and frames.

Every pair of sentence and film passes four blocks, so each sentence meets its film, the film most like that (its
reverse) and one more, instead of all of the batch; batches are half the siblings', in bfloat16.

Command:   clipkit train clip4clip/clip4clip_tiny_films_tight.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      6 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  pairs 95.9: direction 86.5, reversed 100, order 100, speed 97; static 99.5 (seed 0);
           pairs 91.5 and 93.5 with seeds 1 and 2
"""

_base_ = ["./clip4clip_tiny_films.py"]

iterations = 1200
model = dict(head=dict(type="tightTransf"), negatives=dict(hard=1, random=1))
train_dataloader = dict(batch_size=32)
train_cfg = dict(max_iters=iterations, val_interval=iterations)
# Positions start at a fiftieth of the frames' size, and the frames stay in what the blocks see.
optim_wrapper = dict(
    type="AmpOptimWrapper", dtype="bf16", paramwise_cfg=dict(custom_keys={"head.positions": dict(lr_mult=30.0)})
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
