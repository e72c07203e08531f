"""FSS-1000: 520 classes train, 240 are watched, another 240 are tested. See `seg_fewshot.py`.

The folder of FSS-1000, one folder a class, with its fss_test_set.txt, as data/fss1000; then
    python -m clipkit.data.fewshot_lists fss1000 data/fss1000
"""

_base_ = ["./seg_fewshot.py"]

variables = dict(data="data/fss1000", fold=0)  # FSS-1000 has no folds
iterations = 13000  # 20 epochs (ours) of 5,200 episodes, 2 samples each
classes = "{data}/splits/trn.txt"  # what `clipkit predict` says without --labels
train_dataloader = dict(dataset=dict(benchmark="fss1000"))
val_dataloader = dict(dataset=dict(benchmark="fss1000", subset="val"))
test_dataloader = dict(dataset=dict(benchmark="fss1000"))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=2600)
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=0, end=iterations)]
