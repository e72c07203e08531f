"""CLIP-ViL on a frozen CLIP: grids of all photos are stored once, then a transformer trains on VQAv2's questions.

The answers (3,129: those that most people gave to at least nine questions) and the words come from the training
questions; the first run writes them to `variables.vocabulary`.

Options:   variables.root=FOLDER        v2_*.json, and train2014/, val2014/ below it
           variables.store=FOLDER       300 KB a photo with ViT-B/16 at 224, 500 KB with aligned attention
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
           model.words=clip             the tokens of its text tower in place of learned words
"""

plugins = ["vqa"]
variables = dict(
    root="data/vqa",
    store="work_dirs/vqa/grids",
    vocabulary="work_dirs/vqa/vocabulary.json",
    clip="ViT-B-16-quickgelu",
    weights="openai",
    size=224,
)
iterations = 50000

photos = dict(
    type="PhotoQuestions",
    clip=dict(name="{clip}", pretrained="{weights}", precision="auto"),
    store="{store}",
    size="{size}",
)
train_dataloader = dict(
    batch_size=64,  # photos, of about five questions each
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=photos,
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(test_mode=True, **photos),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="VQAAccuracy", answers="work_dirs/vqa/answers.json")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

model = dict(
    type="GridVQA",
    clip=dict(name="{clip}", pretrained="{weights}"),
    vocabulary=dict(file="{vocabulary}", at_least=9),
    size="{size}",
    dim=768,
    heads=12,
    depth=6,
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=10000)
optim_wrapper = dict(
    type="AmpOptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-5, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=2500),
    dict(type="LinearLR", end_factor=0.0, by_epoch=False, begin=2500, end=iterations),
]
