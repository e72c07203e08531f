"""ActionCLIP on UCF101 (split 1), from a checkpoint of Kinetics-400 or from CLIP's own weights.

Command:   clipkit train actionclip/actionclip_ucf101.py --amp --cfg-options load_from=k400.pth
Options:   variables.data=hmdb51 variables.root=data/hmdb51   HMDB51 in the same way; the release: 64 videos a step
           variables.shots=2                                  few-shot: 2 videos of each class
           and those of actionclip_k400.py
Hardware:  one GPU
Time:      not yet measured
Expected:  not yet measured; the original, ViT-B/16, 32 frames, from K400: UCF101 97.1, HMDB51 76.2
"""

_base_ = ["../_base_/actionclip.py"]

variables = dict(data="ucf101", root="data/ucf101", train="train1", test="test1")
iterations = 14900  # 50 epochs
train_dataloader = dict(batch_size=32, dataset=dict(randaugment=None))
train_cfg = dict(max_iters=iterations, val_interval=1490)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=1490),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=1490, end=iterations, eta_min=0),
]
