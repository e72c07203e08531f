"""ESC-50 as it is published (meta/esc50.csv, audio/): a small tower trains on four folds and is tested on the fifth.

Command:   clipkit train audioclip/audioclip_esc50.py --cfg-options variables.root=ESC-50
Siblings:  audioclip_urbansound8k.py
Hardware:  1 GPU, or a CPU for some hours
Time:      not measured here
Expected:  not measured here (the paper's ESResNeXt, pretrained on AudioSet: 97.15 fine-tuned, 69.40 zero-shot)
"""

_base_ = ["../_base_/audioclip.py"]

sounds = dict(layout="esc50")
train_dataloader = dict(dataset=dict(folds=(2, 3, 4, 5), **sounds))
val_dataloader = dict(dataset=dict(folds=(1,), **sounds))
test_dataloader = dict(dataset=dict(folds=(1,), **sounds))
