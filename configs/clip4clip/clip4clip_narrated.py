"""CLIP4Clip on your own long films in which somebody speaks: a table with the columns video, sentence, start and end.

A column split says train or test; without it all rows are both. The test asks for the piece of a sentence among all
pieces, and names each frame by its film's sentences (frame_accuracy).

Command:   clipkit train clip4clip/clip4clip_narrated.py --cfg-options variables.root=my/said.csv
Options:   variables.videos=FOLDER      where the films lie (default: beside the table)
           variables.head=meanP|seqLSTM|seqTransf
           variables.films, .candidates films in a batch, and the nearest that it is drawn from
           train_dataloader.dataset.pairs.seconds, .words, .aligned; model.objective.overlap=None
Hardware:  any
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["./clip4clip_howto100m.py"]

variables = dict(
    data="csv",
    root="data/mine/said.csv",
    store="work_dirs/stores/said",
    test="test",
    films=8,
    candidates=16,
    on_bad="raise",
)
iterations = 1000
said = dict(type="NarratedVideos", data="{data}", root="{root}", store="{store}")
val_dataloader = dict(batch_size=4, dataset=said)
test_dataloader = dict(batch_size=4, dataset=said)
val_evaluator = dict(_delete_=True, type="NarratedMetric")
test_evaluator = val_evaluator
train_cfg = dict(max_iters=iterations, val_interval=250)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
