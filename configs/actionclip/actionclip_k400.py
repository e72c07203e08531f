"""ActionCLIP on Kinetics-400: ViT-B/32, 8 frames, whole CLIP trained, the release's settings in fp32 with autocast.

data/k400/train.csv, val.csv and videos, see clipkit/data/action_sets.py; or the lists of ActionCLIP and MMAction2 by
variables.data=list.

Command:   clipkit train actionclip/actionclip_k400.py --amp --cfg-options variables.root=data/k400
Options:   model.head.type=meanP|Conv1D|LSTM|Transf|Transf_cls
           model.tune.shift_tokens=8                             in-network prompt (TSM)
           model.tune.join_frames=8 model.head.type=meanP        pre-network prompt (joint attention)
           model.targets=normalized                              instead of the release's softmax of 10·G
           model.tune.unfreeze_from=6 model.tune.unfreeze=None   the upper blocks only
           variables.clip=ViT-B-16-quickgelu variables.segments=16
           variables.clips=10 variables.crops=3                  30 views in the test
Hardware:  GPUs that hold 128 x 8 frames a step together
Time:      not yet measured
Expected:  not yet measured; the original, one view: top-1 78.36, top-5 94.25 (of 19,328 of its 19,357 clips)
"""

_base_ = ["../_base_/actionclip.py"]

variables = dict(data="kinetics", root="data/k400", train="train", test="val")
iterations = 93750  # 50 epochs of 240,000 videos
train_cfg = dict(max_iters=iterations, val_interval=9375)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=9375),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=9375, end=iterations, eta_min=0),
]
