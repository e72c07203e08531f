"""The words' distances fitted to some of one's own photos with measured depth, and tested on the others.

Command:   clipkit train depthclip/depthclip_folder.py --cfg-options variables.images=photos variables.depths=depths
           without depth at all: clipkit predict depthclip/depthclip_folder.py none photo.jpg
Options:   variables.images=FOLDER      photos, x.jpg
           variables.depths=FOLDER      x.png, 16 bits of grey in millimetres, 0 for what was not measured
           variables.count=20           photos that are drawn for the fit; the others test it
           test_evaluator.cap=80        metres; beyond them nothing counts (default: 10)
Hardware:  1 GPU, or a CPU
Time:      not measured here
Expected:  not measured here
"""

_base_ = ["../_base_/depthclip.py"]

variables = dict(images="data/depth/images", depths="data/depth/depths", count=20)
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler", shuffle=False),
    dataset=dict(type="PhotoDepths", images="{images}", depths="{depths}", count="{count}"),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters="{count}", val_interval=10**9)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.0))  # the fit is exact: no gradients
test_dataloader = dict(dataset=dict(images="{images}", depths="{depths}", count="{count}", rest=True))
