"""C19: ViLD-ensemble loses at most 10 % of ViLD-text's base AP50 and keeps ViLD's novel AP50. Runs of vild.py.

expect:   base_AP50: ensemble >= 0.9 text; novel_AP50: ensemble >= vild
"""

claim = "C19"
runs_of = "vild"
arms = ("text", "vild", "ensemble")
statements = [
    dict(says="base within 10 % of ViLD-text", metric="base_AP50", better="ensemble", than="text", times=0.9),
    dict(says="novel at ViLD or above", metric="novel_AP50", better="ensemble", than="vild"),
]
