"""C29: the KL objective, which calls all sentences of a video's class right, beats cross-entropy over the batch, which
calls one right and pushes the others away, when classes repeat: 64 pairs of films a batch, ten classes.

Films and embeddings are those of films.py, by whichever run comes first: with --jobs, let one run begin alone.

command:  clipkit claim C29 --seeds 10-14
hardware: 2 CPU cores
time:     not yet measured
"""

claim = "C29"
METRICS = ("top1", "mean_class", "reversed_top1", "direction_top1", "speed_top1", "unseen_top1")
arms = {
    name: dict(config="actionclip/actionclip_tiny_films.py", metric=METRICS, cfg_options={"model.targets": targets})
    for name, targets in (("KL", "softmax"), ("KL, rows of sum 1", "normalized"), ("cross-entropy", "pairs"))
}
statements = [
    dict(says="the release's KL beats cross-entropy", metric="top1", better="KL", than="cross-entropy"),
    dict(says="so does KL with rows of sum 1", metric="top1", better="KL, rows of sum 1", than="cross-entropy"),
]
