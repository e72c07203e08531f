"""CLIP4Clip in the embedded world: does a temporal head see the order of frames? Here seqTransf.

Films are rendered, written as video files, read by decord, embedded once by the tiny CLIP's frozen image tower. One run
covers all tasks: direction, forward and reversed, A then B, speed, and still films as a control.

The blocks of the text tower train with the head. It has never read "moves left" or "vanishes": its sentences for a film
and for the reverse have a cosine of 0.98 to 0.99, and what they say of order is hard to use on sentences that were not
trained on, whatever a head sees. clip4clip_tiny_films_frozen.py freezes them.

Command:   clipkit train clip4clip/clip4clip_tiny_films.py
Siblings:  clip4clip_tiny_films_{meanp,lstm,tight,query,wti,frozen}.py
Hardware:  2 CPU cores
Time:      5 minutes on one core (AMD EPYC, shared, 2026-11-21), and once 2 for the films
Expected:  pairs 97.9: direction 94.5, reversed 100, order 98.5, speed 98.5; static 99.5 (seed 0)
"""

_base_ = ["../_base_/films.py"]

plugins = ["clip4clip"]
iterations = 1000

model = dict(
    type="CLIP4Clip",
    clip=dict(name="tiny_clip"),
    head=dict(type="seqTransf", contrast=True),
    tune=dict(unfreeze=["transformer.*", "ln_final.*", "text_projection"]),
)

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    # Positions start at a fiftieth of what they are added to.
    paramwise_cfg=dict(custom_keys={"clip.": dict(lr_mult=0.5), "head.positions": dict(lr_mult=10.0)}),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="ModelForMetricsHook")]
default_hooks = dict(checkpoint=dict(type="AtomicCheckpointHook", interval=100))
