"""Data and evaluation of detection in the embedded world: scenes of 128 pixels.

Novel objects are in the training images, unlabelled; at test time all 96 classes compete.
"""

_base_ = ["./det_small.py"]

# teacher: the tiny CLIP's embeddings of the training scenes' regions, made by the first run, completed by the next.
# split: what is novel, 24 of the 96 classes either way: "shape" (3 of the 12 shapes, in every colour) or "composition"
# (24 pairs of a colour and a shape, each of which is base with others: text alone composes them, see plugins/vild).
variables = dict(teacher="work_dirs/vild_shapes_teacher", split="shape")

size = 128
regions = 32

train_pipeline = [
    dict(
        type="TeacherRegions",
        store="{teacher}",
        transforms=[dict(type="mmdet.RandomFlip", prob=0.5), dict(type="mmdet.PackDetInputs")],
    ),
]
test_pipeline = [
    dict(
        type="mmdet.PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="ShapesDetDataset",
        length=4096,
        size=size,
        seed=1,
        split="{split}",
        labelled="base",
        teacher=dict(folder="{teacher}", clip="tiny_clip", most=regions, scales=(1.0, 1.5)),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ShapesDetDataset",
        length=512,
        size=size,
        seed=2,
        split="{split}",
        labelled="all",
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="DetectionAP", kinds=["bbox", "segm"])
test_evaluator = val_evaluator
