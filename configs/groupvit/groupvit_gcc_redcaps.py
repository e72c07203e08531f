"""GroupViT trained as the paper does on GCC3M, GCC12M and RedCaps12M; without the multi-label loss, which the original
found better here.

Command:   torchrun --nproc_per_node=8 tools/train.py configs/groupvit/groupvit_gcc_redcaps.py --amp
           --cfg-options variables.data=PATH
Data:      webdataset shards with KEY.jpg and KEY.txt: {data}/gcc3m/*.tar, {data}/gcc12m/*.tar, {data}/redcaps12m/*.tar;
           nouns come from a list "nouns" in KEY.json where there is one, else by nltk:
           --cfg-options train_dataloader.dataset.pipeline.0.source=nltk
Hardware:  the original took 16 V100 for 2 days, at 4,096 images a step
Time:      not measured here
Expected:  not trained here
"""

_base_ = ["../_base_/groupvit.py"]

default_scope = "clipkit"
plugins = ["groupvit"]
variables = dict(data="data")

epoch = 25_914_635 // 4096  # steps
model = dict(
    losses=dict(phrases=0.0),
    classes="dataset:mmseg.PascalVOCDataset",
    threshold=0.95,
)
train_dataloader = dict(
    batch_size=512,  # a GPU; 8 of them make the paper's 4,096
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="CaptionShards",
        shards=["{data}/gcc3m/*.tar", "{data}/gcc12m/*.tar", "{data}/redcaps12m/*.tar"],
        index="{data}/gcc_redcaps_index.npz",
        pipeline=[
            dict(type="PickPhrases", source="stored", count=3, templates="openai"),
            dict(type="TimmAugment", size=224),
            dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape", "caption", "phrases")),
        ],
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=30 * epoch, val_interval=31 * epoch)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1.6e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.0025, by_epoch=False, begin=0, end=2 * epoch),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=2 * epoch, end=30 * epoch, eta_min=4e-5),
]
sync_bn = "torch"
