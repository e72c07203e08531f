"""The runs that C29 and C30 are read off: ActionCLIP with its objectives, and with bare names instead of prompts.

Films and embeddings are those of films.py, by whichever run comes first: with --jobs, let one run begin alone.

command:  clipkit claim actions --seeds 10-14
hardware: 2 CPU cores
time:     2 to 4 minutes a run on one core
"""

claim = "Actions"
METRICS = ("top1", "mean_class", "reversed_top1", "direction_top1", "speed_top1", "unseen_top1")


def _arm(**options) -> dict:
    return dict(
        config="actionclip/actionclip_tiny_films.py",
        metric=METRICS,
        cfg_options={f"model.{key}": value for key, value in options.items()},
    )


arms = {
    "KL": _arm(targets="softmax"),
    "row-normalised KL": _arm(targets="normalized"),
    "cross-entropy": _arm(targets="pairs"),
    "bare name": _arm(templates=["{}"]),
}
