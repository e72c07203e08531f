"""Claim C6: what no caption ever named stays poor zero-shot, though a probe on the features works.

Radford et al. 2021, section 3.1.5 (digits) and section 6 (counting). Ten letter-like glyphs, and the number of
objects, one to three.

command:  clipkit claim C6 --seeds 10-14
hardware: CPU
time:     45 s of CPU time a seed (one core of an AMD EPYC, 2026-11-21)
"""

claim = "C6"
arms = {"both": dict(function="clipkit_plugins.clip.claims.unnamed", arms=("zero-shot", "probe", "chance"))}
statements = [
    dict(
        says="a probe tells glyphs apart 3 times as well", metric="glyphs", better="probe", than="zero-shot", times=3.0
    ),
    dict(says="a probe counts better by 20 points", metric="count", better="probe", than="zero-shot", by=20.0),
]
