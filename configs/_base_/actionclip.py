"""ActionCLIP on videos: whole CLIP and a visual prompt train on frames. A recipe says `variables`, little else."""

plugins = ["actionclip"]
variables = dict(
    data="folder",  # list, folder, kinetics, hmdb51 or ucf101, see clipkit/data/action_sets.py
    root="data/actions",
    videos=None,  # folder of the videos; default: root/videos, or the list's own folder
    labels=None,  # names of the classes, for lists
    train="train",
    test="val",
    clip="ViT-B-32-quickgelu",
    weights="openai",
    segments=8,
    clips=1,  # a test video's views are clips x crops
    crops=1,
    shots=None,  # few-shot training: that many videos of each class
    flip=True,
    size=224,
    on_bad="skip",  # or "raise" at the first video that cannot be read
    store=None,  # folder of `clipkit frames`: embeddings of a frozen CLIP, for model.tune=None
)
iterations = 10000

videos = dict(
    type="ActionVideos",
    set="{data}",
    root="{root}",
    videos="{videos}",
    labels="{labels}",
    segments="{segments}",
    size="{size}",
    store="{store}",
    clip=dict(name="{clip}", pretrained="{weights}"),
    on_bad="{on_bad}",
)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(split="{train}", train=True, shots="{shots}", flip="{flip}", **videos),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    drop_last=False,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(split="{test}", clips="{clips}", crops="{crops}", **videos),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ActionAccuracy")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(
    type="ActionCLIP",
    clip=dict(name="{clip}", pretrained="{weights}"),
    head=dict(type="Transf"),
    tune=dict(
        unfreeze=["all"],
        unfreeze_from=None,
        adapters=None,
        cross_modal=None,
        inflate_patches=None,
        shift_tokens=None,
        join_frames=None,
    ),
)
custom_hooks = [dict(type="ActionClassesHook")]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=2000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-6, weight_decay=0.2, betas=(0.9, 0.98), eps=1e-8),
    paramwise_cfg=dict(custom_keys={"head.": dict(lr_mult=10.0)}),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1000),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=1000, end=iterations, eta_min=0),
]
