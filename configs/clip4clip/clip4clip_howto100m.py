"""CLIP4Clip trained on narrated videos as VideoCLIP is, and tested zero-shot on YouCook2's clips; CLIP ViT-B/32's image
tower is frozen, its text tower trains.

HowTo100M is never complete: on_bad=skip says which videos are left out. The test reads the steps of YouCook2's
validation videos, or MSR-VTT's 1k-A with variables.test_data=msrvtt variables.test=test1k.

Command:   clipkit train clip4clip/clip4clip_howto100m.py --cfg-options variables.root=data/howto100m
Options:   variables.data=youcook2|csv
           variables.test_data, .test_root, .test, .test_store   another set for the test
           variables.films, .candidates  films in a batch (all ranks together), and the nearest that it is drawn from
           model.head.type, model.objective.overlap=None
Hardware:  GPUs
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["../_base_/clip4clip.py"]

variables = dict(
    data="howto100m",
    root="data/howto100m",
    train="train",
    store="work_dirs/stores/howto100m",
    test_data="youcook2",
    test_root="data/youcook2",
    test="val",
    test_store="work_dirs/stores/youcook2",
    films=32,
    candidates=64,
    max_frames=32,
    on_bad="skip",
)
iterations = 50000

train_dataloader = dict(
    batch_size="{films}",
    sampler=dict(_delete_=True, type="RetrievedBatchSampler", films="{films}", candidates="{candidates}"),
    dataset=dict(
        type="NarratedVideos",
        pairs=dict(seconds=(3, 32), words=(8, 64), pairs=16),
        sentences=None,
        tokens=False,
    ),
)
tested = dict(data="{test_data}", root="{test_root}", store="{test_store}", strings=True)
val_dataloader = dict(dataset=tested)
test_dataloader = dict(dataset=tested)
model = dict(
    tune=dict(unfreeze=["transformer.*", "ln_final.*", "text_projection"]),
    objective=dict(overlap=0.5),
)
train_cfg = dict(max_iters=iterations, val_interval=5000)
optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=1000, end=iterations, eta_min=0),
]
