"""ActionCLIP on your own videos: a folder for each action, below train/ and val/. No Python needed.

Command:   clipkit train actionclip/actionclip_folder.py --cfg-options variables.root=my/actions
Options:   variables.segments, variables.shots=5 (few-shot), variables.flip=False (left and right are different actions)
           variables.on_bad=raise                 a video that cannot be read ends the run
           variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
           model.head.type=meanP|Conv1D|LSTM|Transf|Transf_cls
           model.tune.unfreeze_from=9 model.tune.unfreeze=None   the upper blocks only
           train_cfg.max_iters, train_dataloader.batch_size
Hardware:  a GPU; on a CPU take few blocks and small batches
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["../_base_/actionclip.py"]

iterations = 1000
train_dataloader = dict(batch_size=32)
train_cfg = dict(max_iters=iterations, val_interval=250)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=iterations, eta_min=0),
]
