"""The runs that C18 to C22 are read off: ViLD's variants where whole shapes are novel.

The teacher's embeddings are made once, by whichever run comes first: with --jobs, let one run begin alone.

command:  python tools/claim.py vild --seeds 10-14
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     18 to 28 minutes a run on one core, and once 13 for the teacher
"""

claim = "ViLD"


def _arm(config: str, **options) -> dict:
    metric = ("novel_AP50", "base_AP50", "AP50", "novel_AP", "base_AP")
    return dict(config=f"vild/{config}.py", metric=metric, cfg_options=options)


arms = {
    "text": _arm("vild_tiny_shapes_text"),
    "vild": _arm("vild_tiny_shapes"),
    "ensemble": _arm("vild_tiny_shapes_ensemble"),
    "image": _arm("vild_tiny_shapes_image"),
    "word background": _arm("vild_tiny_shapes_text", **{"model.classifier.background": "word"}),
    "one crop": _arm(
        "vild_tiny_shapes",
        **{
            "variables.teacher": "work_dirs/vild_shapes_teacher_one_crop",
            "train_dataloader.dataset.teacher.scales": (1.0,),
        },
    ),
}
