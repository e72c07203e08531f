"""ViLD on LVIS v1 base classes, a short schedule: 45,000 steps of 64 images, a sixteenth of the release's images.

Command:   torchrun --nproc_per_node=8 tools/train.py vild/vild_lvis_short.py      (teacher and data: see vild_lvis.py)
           the backbone may start from a file: --cfg-options "model.backbone.init_cfg={'type': 'Pretrained', 'checkpoint': 'resnet50.pth'}"
Hardware:  64 images a step, for instance 8 GPUs with 8
Time:      not yet measured
Expected:  not yet measured
"""  # noqa: E501

_base_ = ["./vild_lvis.py"]

iterations = 45000
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(optimizer=dict(lr=0.08))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=iterations, milestones=[40500, 42750, 43875], gamma=0.1),
]
