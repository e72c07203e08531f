"""C28: 2D patches beat 3D patches. A 3D patch layer that starts as the 2D one sees three frames and trains.

Both arms train the image tower whole on raw frames, with the mean as head: only the patch layer of "3d" can see order.
R@1 of sentences among 500 test films of all tasks.

command:  python tools/claim.py C28 --seeds 10-14
hardware: one GPU, or 2 CPU cores and patience: every step runs CLIP on 1,000 frames
time:     not yet measured
"""

claim = "C28"
_TEXT = ["transformer.*", "ln_final.*", "text_projection"]


def _arm(**tune) -> dict:
    return dict(
        config="clip4clip/clip4clip_tiny_films_meanp.py",
        metric=("t2v_R@1", "v2t_R@1", "pairs", "static"),
        cfg_options={
            "variables.store": None,
            "model.tune": dict(unfreeze=["visual", *_TEXT], **tune),
            "val_evaluator.retrieval": True,
            "test_evaluator.retrieval": True,
        },
    )


arms = {"2d": _arm(), "3d": _arm(inflate_patches=True)}
statements = [dict(says="2D patches beat 3D patches", metric="t2v_R@1", better="2d", than="3d")]
