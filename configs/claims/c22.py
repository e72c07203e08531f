"""C22: a teacher that sees each region at 1 and at 1.5 times its size beats one that sees it at 1. ViLD, novel AP50.

command:  python tools/claim.py C22 --seeds 10-14
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     not yet measured
expect:   novel_AP50: two crops > one crop
"""

claim = "C22"
METRICS = ("novel_AP50", "base_AP50", "AP50", "novel_AP", "base_AP")
_ONE = {
    "variables.teacher": "work_dirs/vild_shapes_teacher_one_crop",
    "train_dataloader.dataset.teacher.scales": (1.0,),
}
arms = {
    "two crops": dict(config="vild/vild_tiny_shapes.py", metric=METRICS),
    "one crop": dict(config="vild/vild_tiny_shapes.py", cfg_options=_ONE, metric=METRICS),
}
statements = [dict(says="two crops beat one", metric="novel_AP50", better="two crops", than="one crop")]
