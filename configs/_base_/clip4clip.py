"""CLIP4Clip on a frozen CLIP: frames and sentences are embedded once into a store, then a temporal head trains on it.

A data set's config says `variables` and nothing else. The configs `*_tuned.py` let CLIP train too, on raw frames.

Options:   variables.head=meanP|seqLSTM|seqTransf|tightTransf|query_scoring, or wti with variables.tokens=True
           variables.videos=FOLDER      where the videos lie (default: root/videos)
           variables.on_bad=skip        go on without videos that are missing or broken
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
"""

plugins = ["clip4clip"]
variables = dict(
    data="csv",
    root="data/mine/videos.csv",
    videos=None,  # folder of the videos; default: beside the table, or root/videos
    train="train",
    test="test",
    store="work_dirs/stores/mine",
    clip="ViT-B-32-quickgelu",
    weights="openai",
    head="seqTransf",
    tokens=False,  # True for head wti
    fps=1.0,
    max_frames=12,
    short_side=None,
    sentences=1,
    on_bad="raise",
)
iterations = 7000

videos = dict(
    type="VideoTexts",
    data="{data}",
    root="{root}",
    videos="{videos}",
    clip=dict(name="{clip}", pretrained="{weights}", precision="auto"),
    store="{store}",
    tokens="{tokens}",
    sampling=dict(fps="{fps}"),
    short_side="{short_side}",
    max_frames="{max_frames}",
    on_bad="{on_bad}",
)
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(split="{train}", sentences="{sentences}", **videos),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(split="{test}", test_mode=True, **videos),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="RetrievalMetric")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(type="CLIP4Clip", clip=dict(name="{clip}", pretrained="{weights}"), head=dict(type="{head}"))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.2, betas=(0.9, 0.98)),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=500, end=iterations, eta_min=0),
]
custom_hooks = [dict(type="ModelForMetricsHook")]
