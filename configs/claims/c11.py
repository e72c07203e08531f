"""Claim C11: a text classifier costs nothing on closed labels. LSeg beside mmseg's linear classifier: same tower,
decoder, pixels and schedule, tested on scenes that hold seen classes alone. (Among unseen objects the linear classifier
must call them something, and its seen classes lose by it: that is C12.)
"""

claim = "C11"
_CLOSED = {"test_dataloader.dataset.subset": "seen"}
arms = {
    "lseg": dict(config="lseg/lseg_tiny_shapes.py", metric="mIoU", cfg_options=_CLOSED),
    "linear": dict(config="lseg/lseg_tiny_shapes_linear.py", metric="mIoU", cfg_options=_CLOSED),
}
