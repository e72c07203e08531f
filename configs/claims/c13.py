"""Claim C13: one or two regularisation blocks help, many collapse. LSeg with bottleneck blocks of depth 0, 1, 2 and 4;
harmonic mean of seen and unseen mIoU. A CPU's schedule, 400 steps of 16 scenes: a block works on the logits of all
labels at all places, so that drawn pixels save nothing, and a step costs several times that of depth 0.

command:  python tools/claim.py C13 --seeds 10-14
"""

claim = "C13"
_SHORT = {
    "train_cfg.max_iters": 400,
    "train_cfg.val_interval": 400,
    "param_scheduler.1.end": 400,
    "train_dataloader.batch_size": 16,
}


def _arm(depth: int) -> dict:
    block = {"model.block": dict(kind="bottleneck", depth=depth, activation="lrelu")} if depth else {}
    metric = ("seen", "unseen", "harmonic_mean")
    return dict(config="lseg/lseg_tiny_shapes.py", metric=metric, cfg_options={**_SHORT, **block})


arms = {f"depth {depth}": _arm(depth) for depth in (0, 1, 2, 4)}
statements = [
    dict(says="one block helps", metric="harmonic_mean", better="depth 1", than="depth 0"),
    dict(says="two blocks help", metric="harmonic_mean", better="depth 2", than="depth 0"),
    dict(says="four collapse", metric="harmonic_mean", better="depth 0", than="depth 4", by=5),
]
