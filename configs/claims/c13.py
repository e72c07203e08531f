"""Claim C13: one or two regularisation blocks help, many collapse. LSeg with bottleneck blocks of depth 0, 1, 2 and 4,
half of README's schedule."""

claim = "C13"
METRICS = ("seen", "unseen", "harmonic_mean")
_SHORT = {"train_cfg.max_iters": 600, "train_cfg.val_interval": 600, "param_scheduler.1.end": 600}


def _arm(depth: int) -> dict:
    block = {"model.block": dict(kind="bottleneck", depth=depth, activation="lrelu")} if depth else {}
    return dict(config="lseg/lseg_tiny_shapes.py", metric=METRICS, cfg_options={**_SHORT, **block})


arms = {f"depth {depth}": _arm(depth) for depth in (0, 1, 2, 4)}
