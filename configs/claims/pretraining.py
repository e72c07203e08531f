"""The pretrainings that C1, C2 and C7 are read off: tiny CLIPs as clip/tiny_shapes.py has them, for fewer steps.

command:  clipkit claim pretraining --seeds 10-14
hardware: one GPU, or CPU cores with bfloat16 units
time:     70 minutes a seed on one core (AMD EPYC, shared, 2026-11-22)
schedule: 700 iterations, about half of clip/tiny_shapes.py, as in C3
"""

claim = "Pretraining"


def _arm(**options) -> dict:
    return dict(function="clipkit_plugins.clip.claim_pretraining.pretrain", kwargs=dict(iterations=700, **options))


arms = {
    "tiny": _arm(),
    "small": _arm(model="tiny-shapes-s"),
    "smallest": _arm(model="tiny-shapes-xs"),
    "non-linear": _arm(model="tiny-shapes-mlp"),
    "words": _arm(words=True),
}
