"""Claim C11: a text classifier costs nothing on closed labels. LSeg beside mmseg's linear classifier: same tower,
decoder, pixels and schedule; mIoU over the seen classes, all 102 labels competing.

The arm `linear` also gives C12 its closed classifier.
"""

claim = "C11"
METRICS = ("seen", "unseen", "harmonic_mean")
arms = {
    "lseg": dict(config="lseg/lseg_tiny_shapes.py", metric=METRICS),
    "linear": dict(config="lseg/lseg_tiny_shapes_linear.py", metric=METRICS),
}
