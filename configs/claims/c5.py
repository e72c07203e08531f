"""Claim C5: zero-shot is more robust to a shift than a supervised classifier that is as good in distribution.

Radford et al. 2021, section 3.3. Plain objects in photo style, 96 compositions; the classifier has the tiny CLIP's
image tower and trains from scratch until it is as good there. A probe on the tiny CLIP's own features, fitted to the
same objects, stands beside them. Then other textures, which the scenes of the captions had, and three styles that none
of them ever saw.

command:  clipkit claim C5 --seeds 10-14
          without the training: clipkit claim C5 --seeds 10-14 --arms zero-shot,probe
hardware: CPU, for the training one with bfloat16 units
time:     30 s of CPU time a seed without the training, 11 minutes with it (one core of an AMD EPYC, 2026-11-22)
"""

claim = "C5"
arms = {
    "clip": dict(function="clipkit_plugins.clip.claims.robustness", arms=("zero-shot", "probe")),
    "supervised": dict(function="clipkit_plugins.clip.claims.supervised_robustness"),
}
statements = [
    dict(says="a probe is more hurt by textures", metric="textures", better="zero-shot", than="probe"),
    dict(says="a probe is more hurt by styles", metric="styles", better="zero-shot", than="probe"),
    dict(says="training from scratch: more hurt by textures", metric="textures", better="zero-shot", than="supervised"),
    dict(says="training from scratch: more hurt by styles", metric="styles", better="zero-shot", than="supervised"),
]
