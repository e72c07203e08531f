"""LSeg on FSS-1000, zero-shot: trained with 520 classes, watched on 240, tested on another 240.

Data:      the folder of FSS-1000 with one folder a class, and its fss_test_set.txt in it, as data/fss1000; then
           python -m clipkit.data.fewshot_lists fss1000 data/fss1000
Command:   clipkit train lseg/lseg_fss1000.py                     (data elsewhere: --cfg-options variables.data=PATH)
           clipkit test lseg/lseg_fss1000.py work_dirs/lseg_fss1000
Hardware:  one GPU; memory not measured here
Time:      not measured here
Expected:  not measured here. The original's mIoU: ResNet-101 84.7, ViT-L/16 87.8 (its README). The recipe is
           unpublished, see _base_/seg_fewshot.py; the number of epochs is a choice of this file
"""

_base_ = ["../_base_/seg_fewshot.py"]

iterations = 13000  # 20 epochs of 5,200 episodes, 2 samples each
variables = dict(benchmark="fss1000", data="data/fss1000")
val_dataloader = dict(dataset=dict(subset="val"))
model = dict(classes="{data}/splits/trn.txt")  # what `clipkit predict` says without --labels

train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=2600)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
