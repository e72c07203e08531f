"""Claim C8: the learned temperature is as good as the best fixed one.

Radford et al. 2021, section 2.5. Only both projections train, on the frozen outputs of the shipped
towers (a whole pretraining for each temperature takes hours); fixed logit scales 1, 3, 10, 30, 100; zero-shot accuracy
among 96 names.

command:  clipkit claim C8 --seeds 10-14
hardware: CPU
time:     50 s of CPU time a seed (one core of an AMD EPYC, 2026-11-21)
"""

claim = "C8"
scales = ("1", "3", "10", "30", "100")
arms = {
    "grid": dict(
        function="clipkit_plugins.clip.claims.temperature",
        kwargs=dict(fixed=[float(scale) for scale in scales], pairs=4000, test=1000),
        arms=("learned", *scales, "best fixed"),
    )
}
statements = [
    dict(says="at most 1 point below the best fixed one", metric="top1", better="learned", than="best fixed", by=-1.0)
]
