"""A user's config of clipkit 0.1.0 (commit 02f8ef5), which named parts by `type="clipkit.X"`."""

default_scope = "clipkit"
plugins = ["lseg"]

model = dict(
    type="clipkit.LSeg",
    data_preprocessor=dict(
        type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, size=(64, 64)
    ),
    classes="shapes",
    train_classes="shapes:composition",
    text=dict(clip="tiny_shapes"),
    tower=dict(type="clipkit.ConvTower", channels=(4, 6), blocks=(1, 1)),
    decoder=dict(type="clipkit.FPNDecoder", features=6),
    precision="fp32",
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="clipkit.ResumableInfiniteSampler"),
    dataset=dict(
        type="clipkit.ShapesSegDataset",
        length=4,
        seed=1,
        pipeline=[dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape"))],
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=2)
optim_wrapper = dict(type="clipkit.AmpOptimWrapper", optimizer=dict(type="SGD", lr=0.1))
default_hooks = dict(checkpoint=dict(type="clipkit.AtomicCheckpointHook", interval=2))
custom_hooks = [dict(type="clipkit.ClampHook")]
