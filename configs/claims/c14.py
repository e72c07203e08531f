"""Claim C14: with little data a frozen text encoder beats a fine-tuned one. 512 training scenes, half of README's
schedule; the text tower learns with 3 % of the image side's rate (1e-4) or not at all; unseen mIoU."""

claim = "C14"
METRICS = ("seen", "unseen", "harmonic_mean")
_SHORT = {
    "train_cfg.max_iters": 600,
    "train_cfg.val_interval": 600,
    "param_scheduler.1.end": 600,
    "train_dataloader.dataset.length": 512,
}
arms = {
    "frozen": dict(config="lseg/lseg_tiny_shapes.py", metric=METRICS, cfg_options=_SHORT),
    "fine-tuned": dict(config="lseg/lseg_tiny_shapes_tuned.py", metric=METRICS, cfg_options=_SHORT),
}
statements = [dict(says="frozen beats fine-tuned", metric="unseen", better="frozen", than="fine-tuned")]
