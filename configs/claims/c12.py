"""Claim C12: unseen labels are segmented, far above the closed classifier and training-free CLIP. All 102 labels
compete on scenes with unseen compositions; unseen mIoU.
"""

claim = "C12"
METRICS = ("seen", "unseen", "harmonic_mean")
arms = {
    "lseg": dict(config="lseg/lseg_tiny_shapes.py", metric=METRICS),
    "linear": dict(config="lseg/lseg_tiny_shapes_linear.py", metric=METRICS),
    **{
        variant: dict(
            config="dense_clip/dense_tiny_shapes.py",
            metric=METRICS,
            cfg_options={"model.text.dense": variant},
            train=False,
        )
        for variant in ("maskclip", "sclip", "clearclip", "naclip")
    },
}
