"""A tower for labelled sounds beside a frozen CLIP: each sound is drawn to the embedding of its class's name.

Options:   variables.root=FOLDER        of the sounds
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
           variables.store=FOLDER       of the spectrograms
"""

plugins = ["audioclip"]
variables = dict(root="sounds", store="work_dirs/audioclip/store", clip="RN50", weights="openai", seconds=5.0)
iterations = 3000

spectrogram = dict(rate=22050, window=1024, hop=256, bands=80)
sounds = dict(
    type="SoundFolder",
    root="{root}",
    store="{store}",
    spectrogram=spectrogram,
    seconds="{seconds}",
)
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=sounds,
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=sounds,
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SoundMetric", retrieval=False)
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
custom_hooks = [dict(type="ModelForMetricsHook")]

model = dict(
    type="AudioCLIP",
    clip=dict(name="{clip}", pretrained="{weights}"),
    spectrogram=spectrogram,
    seconds="{seconds}",
    labels=True,
    tower=dict(channels=(64, 128, 256, 128), hidden=512),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=1000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.04, by_epoch=False, begin=0, end=300),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=300, end=iterations, eta_min=0),
]
