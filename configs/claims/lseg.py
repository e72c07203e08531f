"""The runs that C11 and C12 are read off: LSeg, mmseg's linear classifier on the same tower, decoder, pixels and
schedule, and training-free CLIP. Half of README's schedule. Tested twice: "open", all 102 labels compete on scenes with
unseen compositions; "closed", scenes of seen classes alone.
"""

claim = "LSeg"
_SHORT = {"train_cfg.max_iters": 600, "train_cfg.val_interval": 600, "param_scheduler.1.end": 600}


def _arm(config: str, **options) -> dict:
    return dict(
        config=config,
        cfg_options={**_SHORT, **options},
        tests={"open": {}, "closed": {"test_dataloader.dataset.subset": "seen"}},
    )


arms = {
    "lseg": _arm("lseg/lseg_tiny_shapes.py"),
    "linear": _arm("lseg/lseg_tiny_shapes_linear.py"),
    **{
        variant: dict(
            config="dense_clip/dense_tiny_shapes.py",
            metric=("seen", "unseen", "harmonic_mean"),
            cfg_options={"model.text.dense": variant},
            tests={"open": {}},
            train=False,
        )
        for variant in ("vanilla", "maskclip", "sclip", "clearclip", "naclip")
    },
}
