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

_base_ = ["./groupvit_gcc_yfcc.py"]

epoch = 25_914_635 // 4096  # steps
model = dict(losses=dict(phrases=0.0))
train_dataloader = dict(
    dataset=dict(
        shards=["{data}/gcc3m/*.tar", "{data}/gcc12m/*.tar", "{data}/redcaps12m/*.tar"],
        index="{data}/gcc_redcaps_index.npz",
    )
)
train_cfg = dict(max_iters=30 * epoch, val_interval=31 * epoch)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.0025, by_epoch=False, begin=0, end=2 * epoch),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=2 * epoch, end=30 * epoch, eta_min=4e-5),
]
