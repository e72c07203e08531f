"""GroupViT in the embedded world: captioned scenes without masks to learn from, scenes with all 102 names to test."""

_base_ = ["./seg_shapes.py"]

plugins = ["groupvit"]

train_dataloader = dict(
    batch_size=96,
    num_workers=0,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        _delete_=True,
        type="CaptionedScenes",
        length=6144,
        seed=1,
        pipeline=[
            dict(type="PickPhrases", count=None),
            dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape", "caption", "phrases")),
        ],
    ),
)
val_dataloader = dict(dataset=dict(length=512))
test_dataloader = dict(dataset=dict(length=512))
val_evaluator = dict(type="GroupIoU")
test_evaluator = dict(type="GroupIoU")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
custom_hooks = [dict(type="SegPictureHook", count=8)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
