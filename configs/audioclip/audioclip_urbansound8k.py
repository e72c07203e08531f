"""UrbanSound8K as it is published (metadata/UrbanSound8K.csv, audio/fold1, …): trains on nine folds, is tested on the
tenth; the published number is the mean over all ten.

Command:   clipkit train audioclip/audioclip_urbansound8k.py --cfg-options variables.root=UrbanSound8K
Hardware:  1 GPU, or a CPU for some hours
Time:      not measured here
Expected:  not measured here (the paper's ESResNeXt, pretrained on AudioSet: 90.07 fine-tuned, 68.78 zero-shot)
"""

_base_ = ["../_base_/audioclip.py"]

variables = dict(seconds=4.0)
sounds = dict(layout="urbansound8k")
train_dataloader = dict(dataset=dict(folds=(2, 3, 4, 5, 6, 7, 8, 9, 10), **sounds))
val_dataloader = dict(dataset=dict(folds=(1,), **sounds))
test_dataloader = dict(dataset=dict(folds=(1,), **sounds))
