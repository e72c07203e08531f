"""Claim C5: zero-shot is more robust to a shift than a supervised classifier that is as good in distribution.

Radford et al. 2021, section 3.3. Plain objects in photo style, 96 compositions; the classifier has the
tiny CLIP's image tower and trains from scratch until it is as good there. Then other textures, which the scenes of
the captions had, and three styles that neither ever saw.

command:  clipkit claim C5 --seeds 10-14
hardware: CPU
time:     not yet measured
"""

claim = "C5"
arms = {"both": dict(function="clipkit_plugins.clip.claims.robustness", arms=("zero-shot", "supervised"))}
statements = [
    dict(says="more robust to textures", metric="textures", better="zero-shot", than="supervised"),
    dict(says="more robust to sketch, night and noise", metric="styles", better="zero-shot", than="supervised"),
]
