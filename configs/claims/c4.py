"""Claim C4: a linear probe on one or two examples a class is below zero-shot.

Radford et al. 2021, section 3.1.5 and figure 6. The shipped tiny CLIP, 96 compositions of colour and shape, C chosen on
as many validation examples.

command:  clipkit claim C4 --seeds 10-14
hardware: CPU
time:     12 s of CPU time a seed (one core of an AMD EPYC, 2026-11-21)
"""

claim = "C4"
arms = {
    "shots": dict(
        function="clipkit_plugins.clip.claims.few_shot_probe",
        kwargs=dict(shots=(1, 2, 4, 8), test=1000, pool=3500),
        arms=("zero-shot", "probe"),
    )
}
statements = [
    dict(says="a probe on one example a class is below zero-shot", metric="1", better="zero-shot", than="probe"),
    dict(says="a probe on two examples a class is below zero-shot", metric="2", better="zero-shot", than="probe"),
    dict(says="a probe on 8 examples a class is still below zero-shot", metric="8", better="zero-shot", than="probe"),
]
