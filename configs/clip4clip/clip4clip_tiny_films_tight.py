"""CLIP4Clip in the embedded world with head tightTransf: a transformer over sentence and frames.

Every pair of sentence and film passes four blocks, so batches are a quarter of the siblings', in bfloat16.

Command:   clipkit train clip4clip/clip4clip_tiny_films_tight.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_films.py"]

iterations = 600
model = dict(head=dict(type="tightTransf"))
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(type="AmpOptimWrapper", dtype="bf16")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
