"""C30: 16 sentences about an action ("a video of a person {}", …) beat its bare name, above all zero-shot: here top-1
among the names of training, and among other words for the same actions, which no training sentence held.

Films and embeddings are those of films.py, by whichever run comes first: with --jobs, let one run begin alone.

command:  clipkit claim C30 --seeds 10-14
hardware: 2 CPU cores
time:     not yet measured
"""

claim = "C30"
METRICS = ("top1", "mean_class", "reversed_top1", "direction_top1", "speed_top1", "unseen_top1")
arms = {
    name: dict(config="actionclip/actionclip_tiny_films.py", metric=METRICS, cfg_options={"model.templates": templates})
    for name, templates in (("16 prompts", "actionclip"), ("bare name", ["{}"]))
}
statements = [
    dict(says="prompts help", metric="top1", better="16 prompts", than="bare name"),
    dict(says="prompts help with unseen words", metric="unseen_top1", better="16 prompts", than="bare name"),
]
